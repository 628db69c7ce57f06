/*
 * A tenant's secrets, read from their files.
 *
 * Happy path: the tenant's directory is opened without following a link, or the one below ..data where Kubernetes has put it; then the
 * file, by openat2 (Linux 5.6), which follows links for as long as they stay below that directory. It fails with the secret's name and
 * where its file is looked for, never with what is in it.
 */
#include "secrets.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_LIMIT (LEAT_SECRET_BYTES + 1) /* with the line break */

struct leat_secrets *leat_secrets_new(const char *directory, const struct leat_uuid *tenant)
{
	struct leat_secrets *secrets = leat_alloc_zero(1, sizeof *secrets);
	secrets->directory = leat_strdup(directory);
	leat_uuid_format(tenant, secrets->tenant);
	return secrets;
}

static void clear(const struct secret_form *form)
{
	explicit_bzero(form->text, form->bytes);
	free(form->text);
}

void leat_secrets_free(struct leat_secrets *secrets)
{
	if (secrets == NULL)
		return;
	for (size_t i = 0; i < secrets->count; i++)
		for (size_t form = 0; form < secrets->items[i].form_count; form++)
			clear(&secrets->items[i].forms[form]);
	free(secrets->items);
	free(secrets->directory);
	free(secrets);
}

/* ---- the file ---- */

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define FD_SCOPED __attribute__((cleanup(close_fd))) const int

static int open_directory(int at, const char *name)
{
	return openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_below(int directory, const char *name, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

/* A link to another tenant's directory is not followed; where all of the directory is mounted, the tenants' are below ..data. */
static int open_tenant(int root, const char *tenant)
{
	int direct = open_directory(root, tenant);
	if (direct >= 0 || (errno != ENOTDIR && errno != ELOOP))
		return direct;
	FD_SCOPED data = open_below(root, "..data", O_PATH | O_DIRECTORY);
	return data >= 0 ? open_directory(data, tenant) : -1;
}

/* A descriptor of the file, or -1 with errno. A file that is no file never blocks. */
static int open_file(const struct leat_secrets *secrets, const char *name)
{
	FD_SCOPED root = open(secrets->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	FD_SCOPED tenant = open_tenant(root, secrets->tenant);
	return tenant >= 0 ? open_below(tenant, name, O_RDONLY | O_NONBLOCK | O_NOCTTY) : -1;
}

/* Kubernetes replaces all of ..data at once: who was on the way through the old one finds nothing, and looks again. */
static int open_file_again(const struct leat_secrets *secrets, const char *name)
{
	int fd = open_file(secrets, name);
	return fd < 0 && errno == ENOENT ? open_file(secrets, name) : fd;
}

/* Up to FILE_LIMIT + 1 bytes; -1 with errno. */
static ssize_t read_all(int fd, char *out)
{
	size_t used = 0;
	for (;;) {
		ssize_t more = read(fd, out + used, FILE_LIMIT + 1 - used);
		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0)
			return more < 0 ? -1 : (ssize_t)used;
		used += (size_t)more;
		if (used > FILE_LIMIT)
			return (ssize_t)used;
	}
}

/* ---- what may go wrong ---- */

/* "secret API_KEY (<tenant>/API_KEY in LEAT_SECRETS_DIR)" in front of why and what to do. */
static enum leat_kind refuse(
	const struct leat_secrets *secrets, const char *name, enum leat_code code, const char *why, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, code, "secret %s (%s/%s in LEAT_SECRETS_DIR): %s", name, secrets->tenant, name, why);
}

static enum leat_kind refuse_open(const struct leat_secrets *secrets, const char *name, int why, struct leat_error *err)
{
	switch (why) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EXDEV: /* a link leads out */
		return refuse(secrets, name, LEAT_CODE_NOT_FOUND, "the tenant has no such secret; put its value into that file", err);
	case EACCES:
	case EPERM:
		return refuse(secrets, name, LEAT_CODE_INVALID_MESSAGE, "the file can't be read; let the user that Leat runs as read it", err);
	case ENOSYS:
		return refuse(secrets, name, LEAT_CODE_INVALID_MESSAGE, "this system can't open it safely; Linux 5.6 or later is needed", err);
	default:
		return refuse(secrets, name, LEAT_CODE_INVALID_MESSAGE, strerrordesc_np(why), err);
	}
}

static const char *find_fault(struct leat_text value)
{
	if (value.bytes == 0)
		return "the file is empty; put the value into it";
	if (value.bytes > LEAT_SECRET_BYTES)
		return "it is longer than 65536 bytes; headers can't be";
	return leat_text_is_printable(value)
		? NULL
		: "it holds a line break, another control character or what is not UTF-8; a header can't, so encode it (base64)";
}

static enum leat_kind read_value(
	const struct leat_secrets *secrets, const char *name, char *room, struct leat_text *value, struct leat_error *err)
{
	FD_SCOPED fd = open_file_again(secrets, name);
	if (fd < 0)
		return refuse_open(secrets, name, errno, err);
	struct stat status;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return refuse(secrets, name, LEAT_CODE_INVALID_MESSAGE, "it is not a file; put the value into a file of that name", err);
	ssize_t bytes = read_all(fd, room);
	if (bytes < 0)
		return refuse_open(secrets, name, errno, err);
	bool line = bytes > 0 && room[bytes - 1] == '\n';
	*value = (struct leat_text){room, (size_t)bytes - line};
	const char *fault = find_fault(*value);
	return fault == NULL ? LEAT_OK : refuse(secrets, name, LEAT_CODE_INVALID_MESSAGE, fault, err);
}

/* ---- the set ---- */

static const struct secret *find(const struct leat_secrets *secrets, struct leat_text name)
{
	for (size_t i = 0; i < secrets->count; i++)
		if (strlen(secrets->items[i].name) == name.bytes && memcmp(secrets->items[i].name, name.at, name.bytes) == 0)
			return &secrets->items[i];
	return NULL;
}

static const struct secret *keep(struct leat_secrets *secrets, const char *name, struct leat_text value)
{
	secrets->items = leat_realloc(secrets->items, (secrets->count + 1) * sizeof *secrets->items);
	struct secret *item = &secrets->items[secrets->count++];
	*item = (struct secret){.form_count = 1};
	memcpy(item->name, name, strlen(name) + 1);
	char *copy = leat_alloc(value.bytes + 1);
	memcpy(copy, value.at, value.bytes);
	copy[value.bytes] = '\0';
	item->forms[0] = (struct secret_form){copy, value.bytes};
	secret_add_forms(item);
	return item;
}

static bool is_name(struct leat_text name)
{
	for (size_t i = 0; i < name.bytes; i++)
		if (!isalnum((unsigned char)name.at[i]) && name.at[i] != '_')
			return false;
	return name.bytes > 0 && name.bytes <= LEAT_SECRET_NAME_BYTES;
}

/* NULL when it can't be had. */
static const struct secret *read_secret(struct leat_secrets *secrets, struct leat_text name, struct leat_error *err)
{
	char terminated[LEAT_SECRET_NAME_BYTES + 1] = {0};
	memcpy(terminated, name.at, name.bytes);
	if (secrets->directory[0] == '\0') {
		leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND,
			"secret %s: there are no secrets; set LEAT_SECRETS_DIR and put the value into %s/%s there", terminated, secrets->tenant,
			terminated);
		return NULL;
	}
	char *room = leat_alloc(FILE_LIMIT + 1);
	struct leat_text value = {room, 0};
	const struct secret *item = NULL;
	if (read_value(secrets, terminated, room, &value, err) == LEAT_OK)
		item = keep(secrets, terminated, value);
	explicit_bzero(room, FILE_LIMIT + 1);
	free(room);
	return item;
}

enum leat_kind leat_secrets_get(struct leat_secrets *secrets, struct leat_text name, struct leat_text *value, struct leat_error *err)
{
	if (!is_name(name))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"malformed secret; write ${secret:NAME}, NAME being 1 to %d letters, digits and _", LEAT_SECRET_NAME_BYTES);
	const struct secret *item = find(secrets, name);
	if (item == NULL)
		item = read_secret(secrets, name, err);
	if (item == NULL)
		return LEAT_PERMANENT;
	*value = (struct leat_text){item->forms[0].text, item->forms[0].bytes};
	return LEAT_OK;
}
