/* unread.c — see unread.h. Owns nothing. */
#include "wire/unread.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define HEAD_BYTES 256 /* of such a frame, looked through for a few members */

/* The last string that head gives a member of this name; p NULL: none that ends in head and has no escape in it.
 * Within a string a quote is escaped, so quotes around a name and a colon behind them are a member's. */
static struct str member_in_head(const char *head, const char *quoted_name)
{
	static const char spaces[] = " \t\r\n";
	struct str found = { NULL, 0 };
	const char *p = head;

	while ((p = strstr(p, quoted_name))) {
		p += strlen(quoted_name);
		p += strspn(p, spaces);
		if (*p != ':')
			continue;
		p++;
		p += strspn(p, spaces);
		if (*p != '"')
			continue;
		p++;
		size_t len = strcspn(p, "\"\\");
		if (p[len] == '"')
			found = (struct str){ p, len };
	}
	return found;
}

/* The cid in such a head; empty if there is none that may be one. */
static struct str cid_in_head(const char *head)
{
	struct str cid = member_in_head(head, "\"cid\"");

	if (cid.len > WC_CID_BYTES || !utf8_valid(cid.p, cid.len)) /* nobody has looked at these bytes before */
		cid.len = 0;
	return cid;
}

/* Terminated, and cut. */
static void copy_head(char copy[HEAD_BYTES + 1], const char *head, size_t len)
{
	len = WC_MIN(len, (size_t)HEAD_BYTES);
	for (size_t i = 0; i < len; i++)
		copy[i] = head[i] ? head[i] : ' ';
	copy[len] = '\0';
}

struct event *unread_bad(const char *json, size_t len, struct conn *conn, enum error_code code, const char *text)
{
	char copy[HEAD_BYTES + 1];
	struct str cid;

	copy_head(copy, json, len);
	cid = cid_in_head(copy);
	if (cid.len == 0 && len > HEAD_BYTES) {
		copy_head(copy, json + len - HEAD_BYTES, HEAD_BYTES);
		cid = cid_in_head(copy);
	}
	return event_bad(conn, code, (struct str){ text, strlen(text) }, cid);
}

struct event *unread_no_memory(const char *json, size_t len, struct conn *conn)
{
	return unread_bad(json, len, conn, ERR_BUSY, "The server is short of memory. Send it again later");
}

struct event *unread_oversize(const char *head, size_t len, struct conn *conn, int max_file_mb)
{
	char copy[HEAD_BYTES + 1], text[32];
	struct str cid;

	copy_head(copy, head, len);
	cid = cid_in_head(copy);
	if (str_eq(member_in_head(copy, "\"type\""), STR("voice")))
		return event_bad(conn, ERR_TOO_LARGE, STR("Voice max 10MB"), cid);
	snprintf(text, sizeof(text), "Max %dMB", max_file_mb);
	return event_bad(conn, ERR_TOO_LARGE, (struct str){ text, strlen(text) }, cid);
}
