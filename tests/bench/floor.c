/* floor.c — the kernel's floor: what `send` alone costs, with no server at all. One thread sends to CLIENTS loopback connections in turn,
 * FRAMES frames of SIZE bytes a call; another reads and throws away. Prints deliveries a second, the sender's CPU a delivery, and the time of one
 * sweep over all clients.
 *
 *   floor CLIENTS FRAMES SIZE SECONDS */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int clients, epoll;
static _Atomic bool is_over;

static void *reader(void *arg)
{
	(void)arg;
	static char chunk[1 << 18];
	struct epoll_event evs[512];
	while (!atomic_load(&is_over)) {
		int n = epoll_wait(epoll, evs, 512, 100);
		for (int i = 0; i < n; i++)
			if (recv(evs[i].data.fd, chunk, sizeof chunk, MSG_DONTWAIT) < 0 && errno != EAGAIN)
				exit(1);
	}
	return NULL;
}

static double now_s(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: floor CLIENTS FRAMES SIZE SECONDS\n");
		return 2;
	}
	clients = atoi(argv[1]);
	int frames = atoi(argv[2]);
	size_t size = (size_t)atoi(argv[3]) * (size_t)frames;
	double seconds = atof(argv[4]);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	if (bind(listener, (void *)&a, len) < 0 || listen(listener, 1024) < 0 || getsockname(listener, (void *)&a, &len) < 0)
		return 1;
	epoll = epoll_create1(0);
	int *fd = calloc((size_t)clients, sizeof *fd);
	for (int i = 0; i < clients; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0), one = 1;
		if (c < 0 || connect(c, (void *)&a, len) < 0 || (fd[i] = accept(listener, NULL, NULL)) < 0)
			return 1;
		fcntl(c, F_SETFL, O_NONBLOCK);
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = c };
		epoll_ctl(epoll, EPOLL_CTL_ADD, c, &ev);
	}
	char *bytes = malloc(size);
	memset(bytes, 'x', size);
	pthread_t t;
	pthread_create(&t, NULL, reader, NULL);
	double start = now_s(CLOCK_MONOTONIC), cpu = now_s(CLOCK_THREAD_CPUTIME_ID);
	long sweeps = 0, sends = 0;
	while (now_s(CLOCK_MONOTONIC) - start < seconds) {
		for (int i = 0; i < clients; i++) {
			ssize_t n;
			while ((n = send(fd[i], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EAGAIN)
				sched_yield();
			if (n < 0)
				return 1;
			sends++;
		}
		sweeps++;
	}
	double took = now_s(CLOCK_MONOTONIC) - start;
	cpu = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
	atomic_store(&is_over, true);
	pthread_join(t, NULL);
	double deliveries = (double)sends * frames;
	printf("{\"server\":\"floor\",\"clients\":%d,\"frames\":%d,\"deliveries_s\":%.0f,\"cpu_us\":%.4f,\"sweep_ms\":%.3f}\n", clients, frames,
	       deliveries / took, cpu * 1e6 / deliveries, took * 1000 / (double)sweeps);
	return 0;
}
