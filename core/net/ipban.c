/* ipban.c — see ipban.h. Owns the snapshot. */
#include "net/ipban.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct ip_net *nets;
static size_t net_count;

bool ban_ip_check(const struct sockaddr_storage *a)
{
	uint8_t addr[16];
	bool is_banned = false;
	if (!ip_bytes(a, addr))
		return false;
	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < net_count && !is_banned; i++)
		is_banned = ip_in_net(addr, nets[i].addr, nets[i].bits) && (nets[i].until_ms == 0 || nets[i].until_ms > boot_ms());
	pthread_rwlock_unlock(&lock);
	return is_banned;
}

void ban_ip_replace(struct ip_net *v, size_t n)
{
	pthread_rwlock_wrlock(&lock);
	struct ip_net *old = nets;
	nets = v;
	net_count = n;
	pthread_rwlock_unlock(&lock);
	free(old);
}
