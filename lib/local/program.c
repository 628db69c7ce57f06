/* Finding programs (PATH first, then where Debian keeps servers, which is not in everyone's PATH) and the users that run them. */
#include "server.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char server_folders[] = "/usr/lib/postgresql/15/bin:/usr/sbin:/usr/local/sbin:/usr/local/bin";

static bool is_program(const char *path)
{
	struct stat file;
	return stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0;
}

static bool find_in(char out[PATH_MAX], const char *name, const char *folders)
{
	while (folders != NULL && *folders != '\0') {
		size_t length = strcspn(folders, ":");
		int bytes = snprintf(out, PATH_MAX, "%.*s/%s", (int)length, folders, name);
		if (length > 0 && bytes < PATH_MAX && is_program(out))
			return true;
		folders += folders[length] == ':' ? length + 1 : length;
	}
	return false;
}

enum leat_kind leat_program_find(char out[PATH_MAX], const char *name, const char *package, struct leat_error *err)
{
	if (strchr(name, '/') != NULL) {
		if (snprintf(out, PATH_MAX, "%s", name) < PATH_MAX && is_program(out))
			return LEAT_OK;
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "%s is no program", name);
	}
	if (find_in(out, name, getenv("PATH")) || find_in(out, name, server_folders))
		return LEAT_OK;
	if (package == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "%s is not installed", name);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "%s is not installed; on Debian: apt-get install %s", name, package);
}

bool leat_user_find(const char *name, uid_t *uid, gid_t *gid)
{
	char texts[4096];
	struct passwd user;
	struct passwd *found = NULL;
	if (getpwnam_r(name, &user, texts, sizeof texts, &found) != 0 || found == NULL)
		return false;
	*uid = user.pw_uid;
	*gid = user.pw_gid;
	return true;
}
