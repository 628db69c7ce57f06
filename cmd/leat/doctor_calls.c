/* What calls to the outside need on this machine: hosts that may be called, and secrets that nobody else can read. */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void doctor_check_allow_hosts(struct doctor *d)
{
	if (d->params->allow_hosts[0] != '\0')
		return;
	json_auto_t *found = doctor_query(d, d->pg,
		"select to_jsonb(exists (select from leat.workflow_nodes n join leat.workflows w on w.id = n.workflow_id and w.version = n.version"
		" where n.type in ('http', 'worker') and w.deleted_at is null))",
		NULL);
	if (!json_is_true(found))
		return;
	doctor_find(d, DOCTOR_WARNING, "there are workflows with http or worker nodes, and LEAT_ALLOW_HOSTS is not set here");
	doctor_why(d, "where consumers have no such setting either, each of these nodes fails");
	doctor_mend(d, "set LEAT_ALLOW_HOSTS=host[:port],... for `leat consume`, and for `leat doctor`");
}

/* ---- secrets ---- */

#define OTHERS (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

#define DIR_SCOPED __attribute__((cleanup(close_dir))) DIR

static void check_file(struct doctor *d, const char *tenant, int folder, const char *name)
{
	struct stat is;
	if (fstatat(folder, name, &is, 0) != 0 || !S_ISREG(is.st_mode))
		return;
	if (faccessat(folder, name, R_OK, AT_EACCESS) != 0) {
		doctor_find(d, DOCTOR_FAULT, "secret %s/%s can't be read: %s", tenant, name, strerror(errno));
		doctor_why(d, "each node that names it fails");
		doctor_mend(d, "chown it to whoever runs `leat consume`: chown USER %s/%s/%s", d->params->secrets_dir, tenant, name);
	} else if ((is.st_mode & OTHERS) != 0) {
		doctor_find(
			d, DOCTOR_WARNING, "secret %s/%s may be read or written by others (mode %03o)", tenant, name, (unsigned int)is.st_mode & 0777);
		doctor_why(d, "everybody on this machine, or in that group, has it");
		doctor_mend(d, "chmod 400 %s/%s/%s", d->params->secrets_dir, tenant, name);
	}
}

static void check_tenant(struct doctor *d, int root, const char *tenant)
{
	int fd = openat(root, tenant, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR_SCOPED *folder = fd >= 0 ? fdopendir(fd) : NULL;
	if (folder == NULL) {
		if (errno == ENOTDIR)
			return;
		doctor_find(d, DOCTOR_FAULT, "the secrets of %s can't be read: %s", tenant, strerror(errno));
		doctor_why(d, "each node of that tenant that names one fails");
		doctor_mend(d, "chown -R USER %s/%s, to whoever runs `leat consume`", d->params->secrets_dir, tenant);
		return;
	}
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		if (entry->d_name[0] != '.')
			check_file(d, tenant, dirfd(folder), entry->d_name);
	}
}

void doctor_check_secrets(struct doctor *d)
{
	const char *path = d->params->secrets_dir;
	struct stat is;
	if (*path == '\0')
		return;
	DIR_SCOPED *root = opendir(path);
	if (root == NULL || fstat(dirfd(root), &is) != 0) {
		doctor_find(d, DOCTOR_FAULT, "the directory of secrets, %s, can't be read: %s", path, strerror(errno));
		doctor_why(d, "each node that names a secret fails");
		doctor_mend(d, "mount it there, readable by whoever runs `leat consume`, or set LEAT_SECRETS_DIR");
		return;
	}
	if ((is.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		doctor_find(
			d, DOCTOR_FAULT, "the directory of secrets, %s, may be written by others (mode %03o)", path, (unsigned int)is.st_mode & 0777);
		doctor_why(d, "whoever writes there chooses what a tenant's secret is");
		doctor_mend(d, "chmod go-w %s", path);
	}
	for (const struct dirent *entry; (entry = readdir(root)) != NULL;) {
		if (entry->d_name[0] != '.')
			check_tenant(d, dirfd(root), entry->d_name);
	}
}
