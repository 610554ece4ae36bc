/* syscalls.c — the table of system calls, and the BPF program made of it (see syscalls.h). Owns nothing.
 *
 * A call outside the table fails with EPERM rather than ending the process. Then a path that nobody thought of (a libc's fallback on
 * another kernel) is a logged error, and not a chat that is down. Calls that only somebody else's code in this process would make end it at
 * once. The kernel remembers which calls always pass, so the order costs little; those of every message come first all the same. */
#include "server/syscalls.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifndef ARCH
bool syscalls_restrict(void)
{
	return false;
}
#else

#define X32_BIT 0x40000000u /* another table of numbers, under the same architecture */

/* clang-format off */
static const uint16_t allowed[] = {
	/* of every message */
	SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_epoll_pwait, SYS_epoll_ctl, SYS_futex, SYS_read, SYS_write, SYS_pwrite64,
	SYS_pread64, SYS_preadv2,
	SYS_writev, SYS_readv, SYS_fcntl, SYS_fdatasync, SYS_fsync, SYS_newfstatat, SYS_fstat, SYS_clock_gettime,
#ifdef __x86_64__
	/* older calls, which libc takes where they exist */
	SYS_epoll_wait, SYS_poll, SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_unlink, SYS_mkdir, SYS_rmdir, SYS_rename,
	SYS_chmod,
	SYS_dup2, SYS_pipe, SYS_getdents, SYS_epoll_create, SYS_eventfd, SYS_select, SYS_time, SYS_arch_prctl,
#endif
	/* memory */
	SYS_munmap, SYS_madvise, SYS_brk, SYS_mremap, SYS_memfd_create,
	/* files */
	SYS_openat, SYS_close, SYS_statx, SYS_lseek, SYS_ftruncate, SYS_fallocate, SYS_getdents64, SYS_mkdirat, SYS_unlinkat, SYS_renameat,
	SYS_renameat2, SYS_utimensat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_readlinkat, SYS_faccessat, SYS_flock, SYS_dup, SYS_dup3,
	SYS_umask,
	SYS_getcwd, SYS_sendfile, SYS_fstatfs, SYS_fadvise64,
#ifdef SYS_faccessat2
	SYS_faccessat2,
#endif
	/* sockets */
	SYS_accept4, SYS_accept, SYS_bind, SYS_listen, SYS_connect, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
	SYS_shutdown,
	SYS_socketpair,
	/* waiting and waking */
	SYS_epoll_create1, SYS_eventfd2, SYS_ppoll, SYS_pselect6, SYS_pipe2, SYS_clock_nanosleep, SYS_nanosleep, SYS_restart_syscall,
	/* threads and signals */
	SYS_set_robust_list, SYS_set_tid_address, SYS_exit, SYS_exit_group, SYS_gettid, SYS_setpriority /* helpers, downwards */,
	SYS_sched_yield, SYS_sched_getaffinity, SYS_membarrier,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack,
#ifdef SYS_rseq
	SYS_rseq,
#endif
	/* who and what we are, and what time it is */
	SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_prlimit64,
	SYS_getrandom,
	SYS_clock_getres, SYS_gettimeofday, SYS_times,
};
/* clang-format on */

/* Asked for by nothing in this program. */
static const uint16_t deadly[] = { SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev };

#define PROT_EXEC_BIT 4
#define CLONE_THREAD_BIT 0x10000

/* Allowed if the low half of an argument is one of the values; or, with a mask, has all of its bits, or none. */
enum test { TEST_IS, TEST_HAS, TEST_LACKS };
/* clang-format off */
static const struct guarded {
	uint16_t nr;
	uint8_t arg, test, count;
	uint32_t values[4];
} guarded[] = {
	/* Nothing here makes code while it runs. */
	{ SYS_mmap, 2, TEST_LACKS, 1, { PROT_EXEC_BIT } },
	{ SYS_mprotect, 2, TEST_LACKS, 1, { PROT_EXEC_BIT } },
	{ SYS_clone, 0, TEST_HAS, 1, { CLONE_THREAD_BIT } }, /* threads, no processes */
	{ SYS_socket, 0, TEST_IS, 3, { AF_UNIX, AF_INET, AF_INET6 } }, /* and see put_netlink */
	{ SYS_prctl, 0, TEST_IS, 2, { PR_SET_NAME, PR_GET_NAME } },
	{ SYS_ioctl, 1, TEST_IS, 3, { TCGETS, FIONREAD, FIONBIO } },
};
/* clang-format on */

/* --- The program */

struct program {
	struct sock_filter code[512];
	unsigned short len;
};

static void put(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	WC_ASSERT(p->len < WC_LEN(p->code));
	p->code[p->len++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct program *p, size_t offset)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void end(struct program *p, uint32_t verdict)
{
	put(p, BPF_RET | BPF_K, verdict, 0, 0);
}

/* Ends with the verdict if the loaded word is k. */
static void end_if(struct program *p, uint32_t k, uint32_t verdict)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	end(p, verdict);
}

/* The number is loaded; it is so again wherever the program goes on. */
static void put_guarded(struct program *p, const struct guarded *g)
{
	unsigned short jump = p->len;

	put(p, BPF_JMP | BPF_JEQ | BPF_K, g->nr, 0, 0);
	load(p, offsetof(struct seccomp_data, args) + g->arg * sizeof(uint64_t)); /* both architectures have the low half first */
	if (g->test == TEST_IS)
		for (int i = 0; i < g->count; i++)
			end_if(p, g->values[i], SECCOMP_RET_ALLOW);
	else {
		/* set: falls through; not set: over it */
		put(p, BPF_JMP | BPF_JSET | BPF_K, g->values[0], g->test == TEST_HAS ? 0 : 1, g->test == TEST_HAS ? 1 : 0);
		end(p, SECCOMP_RET_ALLOW);
	}
	end(p, SECCOMP_RET_ERRNO | EPERM);
	p->code[jump].jf = (uint8_t)(p->len - jump - 1);
}

/* Which addresses this machine has, for the start's message and for a certificate of our own: of netlink, that is all. The number is
 * loaded; it is so again behind it. */
static void put_netlink(struct program *p)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 6);
	load(p, offsetof(struct seccomp_data, args));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3);
	load(p, offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t));
	end_if(p, NETLINK_ROUTE, SECCOMP_RET_ALLOW);
	load(p, offsetof(struct seccomp_data, nr));
}

static void make(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	end(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	put(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	end(p, SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t i = 0; i < WC_LEN(allowed); i++)
		end_if(p, allowed[i], SECCOMP_RET_ALLOW);
	put_netlink(p);
	for (size_t i = 0; i < WC_LEN(guarded); i++)
		put_guarded(p, &guarded[i]);
	/* abort() signals its own thread; nobody else is signalled. */
	put(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4);
	load(p, offsetof(struct seccomp_data, args));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
	end(p, SECCOMP_RET_ALLOW);
	end(p, SECCOMP_RET_ERRNO | EPERM);
	for (size_t i = 0; i < WC_LEN(deadly); i++)
		end_if(p, deadly[i], SECCOMP_RET_KILL_PROCESS);
	/* Its flags lie in memory, where a filter cannot look: libc takes clone for it. */
	end_if(p, 435 /* clone3 */, SECCOMP_RET_ERRNO | ENOSYS);
	end(p, SECCOMP_RET_ERRNO | EPERM);
}

bool syscalls_restrict(void)
{
	struct program p = { .len = 0 };
	struct sock_fprog program;
	const unsigned sync = SECCOMP_FILTER_FLAG_TSYNC;

	make(&p);
	program = (struct sock_fprog){ p.len, p.code };
	/* Without the second flag older kernels slow down every load that follows a store, against code of strangers, which is not run
	 * here. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, sync | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0 ||
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, sync, &program) == 0;
}
#endif
