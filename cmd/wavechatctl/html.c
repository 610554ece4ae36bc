/* html.c — a dump as one page that needs nothing else: styles inside, no script, no outside resource. Nothing of a message is markup. */
#include <json-c/json.h>
#include <string.h>

#include "base/utf8.h"
#include "history.h"

static const char style[] =
	"body{font:15px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b2733;background:#f6f8fa}"
	"h1{font-size:1.3rem}h2{font-size:.85rem;font-weight:600;color:#57697a;border-bottom:1px solid #d5dde5;margin:1.6rem 0 .6rem}"
	"p{margin:.25rem 0;white-space:pre-wrap;overflow-wrap:anywhere}time{color:#57697a;font-size:.8rem;margin-right:.5rem}"
	"b{margin-right:.4rem}i{color:#57697a}a{color:inherit;text-decoration:none}p:target{background:#fff3bf}"
	"@media(prefers-color-scheme:dark){body{background:#12181f;color:#dfe7ee}h2{border-color:#2c3947}p:target{background:#4a3f14}}";

static char day[16]; /* of the message before */

static void put(const char *s)
{
	size_t left = strlen(s);
	int marks = 0;

	while (left) {
		size_t n = utf8_step((const uint8_t *)s, left);
		uint32_t cp = n ? code_point((const uint8_t *)s, n) : 0;
		bool is_drawn = utf8_marks_fit(&marks, (int32_t)cp);

		if (n == 1 && (*s == '\n' || *s == '\t'))
			putchar(*s);
		else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			fputs("\xef\xbf\xbd", stdout);
		else if (is_harmful(cp) || (n == 1 && strchr("<>&\"'", *s)))
			printf("&#%u;", (unsigned)cp); /* a browser keeps it within its paragraph; a terminal would not */
		else if (is_drawn)
			fwrite(s, 1, n, stdout);
		n += n == 0;
		s += n;
		left -= n;
	}
}

static void begin(const char *title)
{
	printf("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
	       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
	put(title);
	printf("</title>\n<style>%s</style>\n<h1>", style);
	put(title);
	printf("</h1>\n");
	day[0] = '\0';
}

static void message(struct json_object *m)
{
	char when[TIME_TEXT], words[1024];
	long long id = jint(m, "id");

	time_text(when, jint(m, "at"));
	if (strncmp(when, day, 10) != 0) {
		snprintf(day, sizeof(day), "%.10s", when);
		printf("<h2>%s</h2>\n", day);
	}
	printf("<p id=\"m%lld\" dir=\"auto\"><a href=\"#m%lld\"><time>%s</time></a><b>", id, id, strlen(when) > 11 ? when + 11 : when);
	put(jstr(m, "from_name"));
	printf("</b>");
	if (jbool(m, "deleted")) {
		printf("<i>deleted</i>");
	} else if (strcmp(jstr(m, "type"), "text") == 0) {
		put(jstr(m, "text"));
	} else {
		printf("<i>");
		put(file_words(words, sizeof(words), m));
		printf("</i>");
	}
	printf("</p>\n");
}

static void end(void)
{
	printf("</html>\n");
}

const struct shape shape_html = { "html", begin, message, end };
