/* notify.h — tells the service manager how the server is: systemd's notification datagrams, without its library.
 *
 * All of it is inert unless a manager asked by $NOTIFY_SOCKET and $WATCHDOG_USEC. Main thread. */
#ifndef WC_NOTIFY_H
#define WC_NOTIFY_H

#include "base/wc.h"

/* Sends one state, such as "READY=1", or several on lines of their own.
 * 1 if it was sent, 0 if nobody wants to know, else -WC_E…: $NOTIFY_SOCKET is no local socket, or nobody answers there. */
int notify_send(const char *state);
/* "RELOADING=1", with the time that must come with it. "READY=1" ends it. */
int notify_reloading(void);
/* How often the manager wants to hear "WATCHDOG=1" before it takes the server for hung; 0: not at all. */
int64_t notify_watchdog_ms(void);

#endif
