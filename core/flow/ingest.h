/* ingest.h — from framing to the room: decodes messages, sends the slow ones past a helper, pushes what came of a turn into the inbox.
 *
 * Its functions are the hubs' hub_ops. */
#ifndef WC_INGEST_H
#define WC_INGEST_H

#include "base/helper.h"
#include "files/blob.h"
#include "flow/inbox.h"
#include "hub/hub.h"

struct ingest;

/* All of it is borrowed. */
struct ingest *ingest_new(struct inbox *inbox, struct blobs *blobs, struct helpers *helpers, struct ws_budget *budget, int max_file_mb);
void ingest_set_max_file_mb(struct ingest *in, int max_file_mb); /* any thread */
/* How many dialect-1 readers there are; until it is set: none. Before the first connection. */
void ingest_count_first_dialect(struct ingest *in, const _Atomic uint32_t *readers);
void ingest_free(struct ingest *in);
struct hub_ops ingest_ops(struct ingest *in);

#endif
