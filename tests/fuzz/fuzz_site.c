/* fuzz_site.c — any bytes on a connection to the public routes: the page's parts, /health, uploads, files. The door, civetweb, the helpers,
 * the store and the blobs are the real ones, in memory. One person is known, by the token "t", and one file, under the address /f/00…00/.
 *
 * Input: what the peer sends, as it is; several requests may follow each other. */
#include <openssl/evp.h>

#include "base/helper.h"
#include "base/logmsg.h"
#include "files/blob.h"
#include "files/leave.h"
#include "fuzz_door.h"
#include "site/site.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char path[128];

/* The room's part. */
static void give_leave(void *room, struct leave *l)
{
	uint8_t hash[WC_SHA_BYTES];
	(void)room;
	WC_ASSERT(EVP_Digest("t", 1, hash, NULL, EVP_sha256(), NULL) == 1);
	l->verdict = memcmp(hash, l->token, sizeof(hash)) == 0 ? LEAVE_GIVEN : LEAVE_NOBODY;
	l->identity_id = 1;
	l->done(l);
}

static void take_back(void *room, const struct leave *l, uint64_t bytes)
{
	(void)room;
	WC_ASSERT(bytes <= l->bytes);
}

static void start(void)
{
	static struct site site = { .max_file_mb = 1, .ask_leave = give_leave, .give_back = take_back };
	static struct store *store;
	static struct httpd *door;
	const struct str name = STR("a");
	struct msg m = { .id = 1,
		         .at_ms = 1,
		         .kind = MSG_FILE,
		         .from_id = 1,
		         .from_name = name,
		         .filename = STR("f.png"),
		         .mime = STR("image/png"),
		         .size = 5 };
	uint8_t hash[WC_SHA_BYTES];
	char *cause = NULL;

	log_set_level(LOG_ERROR);
	door_make_dir();
	snprintf(path, sizeof(path), "%s/socket", door_dir);
	struct httpd_opts opts = { .unix_path = path, .routes = site_routes(), .arg = &site };
	WC_ASSERT(store_open(&store, NULL, DURABILITY_NORMAL, &cause) == 0);
	WC_ASSERT(blobs_open(&site.blobs, NULL, 16 << 20, &cause) == 0);
	WC_ASSERT((site.helpers = helpers_start(&(struct helpers_opts){ 1, store, store_reader_open, store_reader_close }, &cause)));
	WC_ASSERT(EVP_Digest("t", 1, hash, NULL, EVP_sha256(), NULL) == 1);
	WC_ASSERT(blob_put(site.blobs, "bytes", 5, m.sha) == 0);
	WC_ASSERT(store_begin(store) == 0);
	WC_ASSERT(store_put_identity(store, &(struct identity){ .id = 1, .name = name, .key = name, .created_ms = 1, .seen_ms = 1 }) == 0);
	WC_ASSERT(store_put_token(store, 1, hash, 1) == 0 && store_put_msg(store, &m) == 0 && store_commit(store) == 0);
	WC_ASSERT(httpd_start(&door, &opts, &cause) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char answer[256 * 1024];
	const char *body;
	size_t len;
	int status;

	if (!path[0])
		start();
	len = door_ask(path, data, n, answer, sizeof(answer));
	status = door_judge(answer, len, &body);
	WC_ASSERT(status != 500);
	/* The one file, whole or in part, is never sent with another type, nor to who does not have its address. */
	if (strstr(answer, "filename=\"f.png\""))
		WC_ASSERT(strstr(answer, "\r\nContent-Type: image/png\r\n") &&
		          (memmem(data, n, "00000000000000000000000000000000", 32) || memchr(data, '%', n)));
	return 0;
}
