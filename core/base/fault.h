/* fault.h — planted faults, to prove that the tests would see real ones, and real ones made to order, to see that the server bears them.
 * Compiled in only with -DWC_FAULTS (make MODE=fault); elsewhere every question is a constant no.
 *
 * Planted, by WAVECHAT_FAULT:
 * - publish-early: frames are published before their commit
 * - lost-cursor: now and then a connection's cursor jumps over a frame
 * - no-dedup: a repeated cid is stored again
 * - leak-dm: a DM now and then reaches a third person
 *
 * Made to order, through the file that WAVECHAT_FAULT_CONTROL names, of FAULT_WORDS numbers of 64 bits: the server maps it, a test writes
 * it. */
#ifndef WC_FAULT_H
#define WC_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault_word {
	FAULT_ALLOC_COUNTDOWN,    /* when it comes to 0 an allocation fails; each that may fail takes 1 */
	FAULT_ALLOCS_FAILED,      /* how many did */
	FAULT_SYNC_MS,            /* so long each fsync takes longer */
	FAULT_CLOCK_MS,           /* so far the wall clock is off */
	FAULT_ROOM_STALL_MS,      /* so long the room's next turn takes; taken once */
	FAULT_IO_STALL_MS,        /* the same for an I/O thread */
	FAULT_HELPER_STALL_MS,    /* the same for a helper's next job */
	FAULT_HELPER_PATIENCE_MS, /* in place of the time that a helper may take before it counts as hanging; 0: as it is */
	FAULT_COLD_STALL_MS,      /* so long the next read of a file for a download takes; taken once */
	FAULT_COLD_BROKEN,        /* unless 0, such reads fail */
	FAULT_WORDS,
};

#ifdef WC_FAULTS
bool fault(const char *name);
void fault_open(void);          /* main, before the sandbox */
void fault_apply(bool applies); /* this thread's allocations may fail; at first they may not */
int64_t fault_value(enum fault_word w);
void fault_stall(enum fault_word w); /* sleeps as long as it says, once */
void fault_spare(int n);             /* +1, -1: this thread's allocations between the two may not fail */
#else
#define fault(name) false
#define fault_open() ((void)0)
#define fault_apply(applies) ((void)(applies))
#define fault_value(w) INT64_C(0)
#define fault_stall(w) ((void)0)
#define fault_spare(n) ((void)0)
#endif

#endif
