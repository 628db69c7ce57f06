/*
 * Logging in to NATS, and TLS.
 *
 * The happy path: at most one way to log in (a credentials file, an nkey, a user with a password; or whatever the URL holds), and TLS
 * when a certificate is given, the URL says tls://, or the server asks for it. The library verifies the server's certificate, and that it
 * is for the host in the URL; there is no setting to turn that off. Credentials and seed are read again at each reconnect, certificates
 * are not.
 *
 * Possible failure modes are: settings that contradict each other or name a file that can't be read (PERMANENT, before anything is
 * sent); a refused login or certificate (PERMANENT for this call, though an administrator may mend it: those who run for ever try again).
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JWT_MARK "-----BEGIN NATS USER JWT-----"
#define PREFIX_BYTES 64

static bool given(const char *text)
{
	return text != NULL && *text != '\0';
}

/* ---- before connecting ---- */

static enum leat_kind refuse(struct leat_error *err, const char *why)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s", why);
}

static enum leat_kind check_settings(const struct leat_bus_options *wanted, struct leat_error *err)
{
	if (given(wanted->creds) + given(wanted->nkey) + given(wanted->user) > 1)
		return refuse(err, "LEAT_NATS_CREDS, LEAT_NATS_NKEY and LEAT_NATS_USER are three ways to log in: set one of them");
	if (given(wanted->user) && !given(wanted->password))
		return refuse(err, "LEAT_NATS_USER is set and LEAT_NATS_PASSWORD is not");
	if (given(wanted->password) && !given(wanted->user))
		return refuse(err, "LEAT_NATS_PASSWORD is set and LEAT_NATS_USER is not");
	if (given(wanted->tls_cert) && !given(wanted->tls_key))
		return refuse(err, "LEAT_NATS_TLS_CERT is set and LEAT_NATS_TLS_KEY is not: a certificate needs its private key");
	if (given(wanted->tls_key) && !given(wanted->tls_cert))
		return refuse(err, "LEAT_NATS_TLS_KEY is set and LEAT_NATS_TLS_CERT is not: a private key needs its certificate");
	if (given(wanted->inbox_prefix) && (strlen(wanted->inbox_prefix) > PREFIX_BYTES || !bus_subject_valid(wanted->inbox_prefix, false)))
		return refuse(err, "LEAT_NATS_INBOX_PREFIX: expected a subject without wildcards, of at most 64 bytes");
	return LEAT_OK;
}

/* `mark`: what the file has to hold within its first bytes; NULL for anything. */
static enum leat_kind check_file(const char *variable, const char *path, const char *mark, struct leat_error *err)
{
	if (!given(path))
		return LEAT_OK;
	char start[512];
	FILE *file = fopen(path, "re");
	size_t count = file != NULL ? fread(start, 1, sizeof start - 1, file) : 0;
	bool failed = file == NULL || ferror(file) != 0;
	int why = errno;
	if (file != NULL)
		fclose(file);
	start[count] = '\0';
	bool marked = mark == NULL || strstr(start, mark) != NULL;
	explicit_bzero(start, sizeof start);
	if (failed)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: can't read %s: %s", variable, path, strerror(why));
	if (!marked)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: %s does not begin with %s", variable, path, mark);
	return LEAT_OK;
}

/* nats.c takes tls:// for nats:// and would send the password in the clear. */
static bool urls_want_tls(const char *urls)
{
	for (const char *at = strcasestr(urls, "tls://"); at != NULL; at = strcasestr(at + 1, "tls://")) {
		if (at == urls || at[-1] == ',' || at[-1] == ' ')
			return true;
	}
	return false;
}

enum leat_kind bus_login_prepare(struct bus_login *out, const struct leat_bus_options *wanted, struct leat_error *err)
{
	*out = (struct bus_login){.wanted = wanted, .tls = given(wanted->tls_ca) || given(wanted->tls_cert) || urls_want_tls(wanted->url)};
	if (check_settings(wanted, err) != LEAT_OK || check_file("LEAT_NATS_CREDS", wanted->creds, JWT_MARK, err) != LEAT_OK ||
		check_file("LEAT_NATS_TLS_CA", wanted->tls_ca, NULL, err) != LEAT_OK ||
		check_file("LEAT_NATS_TLS_CERT", wanted->tls_cert, NULL, err) != LEAT_OK ||
		check_file("LEAT_NATS_TLS_KEY", wanted->tls_key, NULL, err) != LEAT_OK)
		return err->kind;
	return given(wanted->nkey) ? bus_nkey_read(out->nkey, wanted->nkey, err) : LEAT_OK;
}

enum leat_kind leat_bus_check_options(const struct leat_bus_options *options, struct leat_error *err)
{
	struct bus_login login;
	return bus_login_prepare(&login, options, err);
}

/* ---- connecting ---- */

natsStatus bus_login_set(natsOptions *options, const struct bus_login *login)
{
	const struct leat_bus_options *wanted = login->wanted;
	natsStatus s = NATS_OK;
	if (given(wanted->creds))
		s = natsOptions_SetUserCredentialsFromFiles(options, wanted->creds, NULL);
	else if (given(wanted->nkey))
		s = natsOptions_SetNKeyFromSeed(options, login->nkey, wanted->nkey);
	else if (given(wanted->user))
		s = natsOptions_SetUserInfo(options, wanted->user, wanted->password);
	if (s == NATS_OK && given(wanted->inbox_prefix))
		s = natsOptions_SetCustomInboxPrefix(options, wanted->inbox_prefix);
	if (s == NATS_OK && login->tls)
		s = natsOptions_SetSecure(options, true);
	if (s == NATS_OK && given(wanted->tls_ca))
		s = natsOptions_LoadCATrustedCertificates(options, wanted->tls_ca);
	if (s == NATS_OK && given(wanted->tls_cert))
		s = natsOptions_LoadCertificatesChain(options, wanted->tls_cert, wanted->tls_key);
	return s;
}

/* ---- when that failed ---- */

/* "(conn.c:733): SSL handshake error: …" without the place. */
static const char *library_text(natsStatus status)
{
	natsStatus last = NATS_OK;
	const char *text = nats_GetLastError(&last);
	if (text == NULL || last != status)
		return natsStatus_GetText(status);
	const char *behind = *text == '(' ? strstr(text, "): ") : NULL;
	return behind != NULL ? behind + strlen("): ") : text;
}

static void say_refused_login(struct leat_buf *out, const struct bus_login *login)
{
	const struct leat_bus_options *wanted = login->wanted;
	leat_buf_add_text(out, "it refused the login");
	if (given(wanted->creds))
		leat_buf_printf(out, " by LEAT_NATS_CREDS (%s): has it expired or been revoked, or is it for other servers?", wanted->creds);
	else if (given(wanted->nkey))
		leat_buf_printf(out, " by LEAT_NATS_NKEY: does the server's configuration have the user %s?", login->nkey);
	else if (given(wanted->user))
		leat_buf_printf(out, " of \"%s\": check LEAT_NATS_USER and LEAT_NATS_PASSWORD", wanted->user);
	else
		leat_buf_add_text(
			out, ": set LEAT_NATS_CREDS, LEAT_NATS_NKEY, or LEAT_NATS_USER and LEAT_NATS_PASSWORD (or check the one in the URL)");
}

static void say_tls(struct leat_buf *out, const char *text)
{
	leat_buf_printf(out, "TLS failed: %s", text);
	if (strstr(text, "hostname mismatch") != NULL || strstr(text, "IP address mismatch") != NULL)
		leat_buf_add_text(out, "; its certificate has to name the host in LEAT_NATS_URL");
	else if (strstr(text, "issuer") != NULL || strstr(text, "self") != NULL)
		leat_buf_add_text(out, "; LEAT_NATS_TLS_CA has to hold the authority that signed its certificate");
}

enum leat_kind bus_login_fail(struct leat_error *err, natsStatus status, const struct bus_login *login)
{
	LEAT_BUF_SCOPED urls = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED why = LEAT_BUF_INIT;
	enum leat_kind kind = LEAT_PERMANENT;
	const char *text = library_text(status);
	leat_bus_show_urls(&urls, login->wanted->url);
	switch (status) {
	case NATS_CONNECTION_AUTH_FAILED:
		say_refused_login(&why, login);
		break;
	case NATS_SSL_ERROR:
		say_tls(&why, text);
		break;
	case NATS_SECURE_CONNECTION_WANTED:
	case NATS_SECURE_CONNECTION_REQUIRED:
		leat_buf_add_text(&why, "it offers no TLS, which a tls:// URL, LEAT_NATS_TLS_CA and LEAT_NATS_TLS_CERT ask for");
		break;
	case NATS_IO_ERROR: /* with TLS 1.3 the server looks at the client's certificate when the client thinks it is connected */
	case NATS_PROTOCOL_ERROR:
		leat_buf_printf(
			&why, "it hung up at the login (%s); where it asks for a client certificate, check LEAT_NATS_TLS_CERT; else ", text);
		say_refused_login(&why, login);
		kind = LEAT_TEMPORARY;
		break;
	default:
		return bus_fail(err, status, "connecting to nats-server at %.200s", leat_buf_text(&urls));
	}
	return leat_fail(err, kind, LEAT_CODE_FORBIDDEN, "connecting to nats-server at %.200s: %s", leat_buf_text(&urls), leat_buf_text(&why));
}
