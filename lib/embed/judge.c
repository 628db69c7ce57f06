/* What the end of a call means: the one place that maps HTTP to what the embed lane does. */
#include "leat/embed.h"

enum leat_embed_verdict leat_embed_judge(enum leat_http_end end, int status)
{
	if (end != LEAT_HTTP_ANSWERED)
		return LEAT_EMBED_LATER;
	switch (status) {
	case 400: /* also what many say to a text they can't take */
	case 413:
	case 422:
		return LEAT_EMBED_APART;
	case 408:
	case 425:
		return LEAT_EMBED_LATER;
	case 429:
		return LEAT_EMBED_SLOWER;
	default:
		if (status >= 500)
			return LEAT_EMBED_LATER;
		return status >= 200 && status < 300 ? LEAT_EMBED_READ : LEAT_EMBED_NOT_SET;
	}
}

const char *leat_embed_advice(int status)
{
	switch (status) {
	case 401:
	case 403:
		return "look at LEAT_EMBED_KEY and at what it may use";
	case 404:
	case 405:
		return "look at --embed-url (all of it is taken as it is, path included) and at --embed-model";
	default:
		return status >= 300 && status < 400 ? "it points elsewhere, and that is not followed: give the final URL as --embed-url"
											 : "look at --embed-url, --embed-model and LEAT_EMBED_KEY";
	}
}
