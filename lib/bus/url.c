/*
 * A list of URLs as people may see it: what stands before the '@' of each (user and password, or a token) is left out.
 *
 * A password may hold commas and at-signs, as typed by someone who doesn't know better. So a URL reaches up to the next comma or space
 * that a scheme follows, and only what stands behind its last '@' is shown: rather too little than a piece of a password.
 */
#include "leat/bus.h"

#include <string.h>

/* Bytes of "nats://", "tls://" and the like that the text begins with; 0 for none. */
static size_t scheme_bytes(const char *text)
{
	size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return letters > 0 && strncmp(text + letters, "://", 3) == 0 ? letters + 3 : 0;
}

/* Where the next URL with a scheme begins, or the end. */
static const char *next_url(const char *text)
{
	while (*text != '\0') {
		text += strcspn(text, ", ");
		text += strspn(text, ", ");
		if (scheme_bytes(text) > 0)
			return text;
	}
	return text;
}

void leat_bus_show_urls(struct leat_buf *out, const char *urls)
{
	for (const char *url = urls; *url != '\0';) {
		const char *next = next_url(url);
		const char *host = url + scheme_bytes(url);
		leat_buf_add(out, url, (size_t)(host - url));
		const char *at = memrchr(host, '@', (size_t)(next - host));
		host = at != NULL ? at + 1 : host;
		leat_buf_add(out, host, (size_t)(next - host));
		url = next;
	}
}
