/* floor.c — the kernel's floor: what `send` alone costs, with no server at all. One thread sends to CLIENTS loopback connections in turn,
 * FRAMES frames of SIZE bytes a call; another reads and throws away. Prints deliveries a second, the sender's CPU a delivery, and the time
 * of one sweep over all clients.
 *
 *   floor CLIENTS FRAMES SIZE SECONDS */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

static int epoll;

static void *reader(void *arg)
{
	static char chunk[1 << 18];
	struct epoll_event evs[512];
	for (;;)
		for (int n = epoll_wait(epoll, evs, 512, 100), i = 0; i < n; i++)
			if (recv(evs[i].data.fd, chunk, sizeof(chunk), MSG_DONTWAIT) < 0 && errno != EAGAIN)
				return arg;
}

static double now_s(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return fprintf(stderr, "usage: floor CLIENTS FRAMES SIZE SECONDS\n"), 2;
	const int clients = atoi(argv[1]), frames = atoi(argv[2]);
	const size_t size = (size_t)atoi(argv[3]) * (size_t)frames;
	const double seconds = atof(argv[4]);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	if (bind(listener, (void *)&a, len) < 0 || listen(listener, 1024) < 0 || getsockname(listener, (void *)&a, &len) < 0)
		return perror("floor"), 1;
	epoll = epoll_create1(0);
	int *fd = calloc((size_t)clients, sizeof(*fd));
	for (int i = 0; i < clients; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0);
		if (c < 0 || connect(c, (void *)&a, len) < 0 || (fd[i] = accept(listener, NULL, NULL)) < 0)
			return perror("floor"), 1;
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		epoll_ctl(epoll, EPOLL_CTL_ADD, c, &(struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.fd = c });
	}
	char *bytes = calloc(1, size);
	pthread_t t;
	pthread_create(&t, NULL, reader, NULL);
	const double start = now_s(CLOCK_MONOTONIC), cpu_before = now_s(CLOCK_THREAD_CPUTIME_ID);
	long sweeps = 0;
	for (; now_s(CLOCK_MONOTONIC) - start < seconds; sweeps++)
		for (int i = 0; i < clients; i++)
			while (send(fd[i], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				if (errno != EAGAIN || sched_yield() < 0)
					return perror("floor"), 1;
	const double took = now_s(CLOCK_MONOTONIC) - start, cpu = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
	const double deliveries = (double)sweeps * clients * frames;
	printf("{\"clients\":%d,\"frames\":%d,\"deliveries_per_s\":%.0f,\"cpu_us_per_delivery\":%.4f,\"sweep_ms\":%.3f}\n", clients, frames,
	       deliveries / took, cpu * 1e6 / deliveries, took * 1000 / (double)sweeps);
	return 0;
}
