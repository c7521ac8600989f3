// SPDX-License-Identifier: Apache-2.0
/*
 * aptget.c - a kernel's package from Debian, without installing it (aptget.h)
 */
#include "kernel/aptget.h"

#include "store/program.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LEN 100u
#define MIRROR       "http://deb.debian.org/debian"
#define KEYRING      "/usr/share/keyrings/debian-archive-keyring"

/**
 * struct apt - how apt is asked
 * @config:	of lists of our own; NULL: the machine's
 */
struct apt {
	const struct aptget *wish;
	const char *folder;
	const char *config;
	struct progress *progress;
	struct err *err;
};

static bool consists_of(const char *name, const char *more)
{
	size_t len = strlen(name);

	if (len < 2 || len > NAME_MAX_LEN || name[0] == '-' || name[0] == '.')
		return false;
	for (; *name; name++)
		if (!(*name >= 'a' && *name <= 'z') &&
		    !(*name >= '0' && *name <= '9') && !strchr(more, *name))
			return false;
	return true;
}

bool aptget_is_package(const char *name)
{
	return consists_of(name, "+-.");
}

bool aptget_is_suite(const char *name)
{
	return consists_of(name, "-.");
}

/* A kernel's own package, or that of a source: it goes on with a version. */
static bool is_of_kind(const char *prefix, const char *name)
{
	const size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && name[n] >= '0' &&
	       name[n] <= '9';
}

const char *const aptget_parts[3] = {"linux-binary-", "linux-base-",
				     "linux-modules-"};

bool aptget_depends(const char *prefix, const char *text, char out[static 128])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";

	for (const char *at = strstr(text, prefix); at;
	     at = strstr(at + 1, prefix)) {
		size_t len = strspn(at, letters);

		if (!is_of_kind(prefix, at) || len > NAME_MAX_LEN)
			continue;
		(void)snprintf(out, 128, "%.*s", (int)len, at);
		return true;
	}
	return false;
}

bool aptget_file(const char *text, char out[static 256])
{
	const char *name = strstr(text, "' ");
	size_t len;

	if (text[0] != '\'' || !name)
		return false;
	name += 2;
	len = strcspn(name, " \n/");
	if (len < 5 || len > 255 || name[0] == '.' ||
	    strncmp(name + len - 4, ".deb", 4) != 0)
		return false;
	(void)snprintf(out, 256, "%.*s", (int)len, name);
	return true;
}

/* apt's program @name with its words. Return: as program_run(). */
static int aptget_ask(const struct apt *apt, const char *name, const char *verb,
		      const char *word, const char *option, struct buf *out,
		      struct buf *said)
{
	const char *argv[12] = {name, "-q", "-o", "APT::Sandbox::User="};
	const struct program program = {
		.argv = argv,
		.folder = apt->folder,
		.progress = apt->progress,
		.what = strcmp(verb, "download") == 0 && !option ? "downloading"
								 : "asking apt",
	};
	unsigned int n = 4;

	if (apt->config) {
		argv[n++] = "-c";
		argv[n++] = apt->config;
	}
	if (option)
		argv[n++] = option;
	argv[n++] = verb;
	argv[n++] = word;
	return program_run(&program, out, said);
}

/* @what: the package; "": none */
static int failed(const struct apt *apt, int r, const char *doing,
		  const char *what, const struct buf *said)
{
	char line[256];

	if (r == -ENOENT)
		return err_set(apt->err, -ENOENT,
			       "There is no apt here: give the package's file "
			       "instead");
	return err_set(apt->err, r < 0 ? r : -ENOENT, "apt cannot %s%s%s: %s",
		       doing, *what ? " " : "", what,
		       program_last_line(said, line));
}

static bool is_source(const struct apt *apt)
{
	return strcmp(apt->wish->prefix, APTGET_SOURCE) == 0;
}

/* The package that has it. @name: 128 bytes. */
static int follow(const struct apt *apt, const char *package, char *name)
{
	cleanup_buf struct buf out = {0}, said = {0};
	const char *depends;
	int r;

	if (is_of_kind(apt->wish->prefix, package)) {
		(void)snprintf(name, 128, "%s", package);
		return 0;
	}
	r = aptget_ask(apt, "apt-cache", "depends", package, NULL, &out, &said);
	if (r != 0)
		return failed(apt, r, "find the package", package, &said);
	depends = out.data ? strstr(out.data, "Depends:") : NULL;
	if (!depends || !aptget_depends(apt->wish->prefix, depends, name))
		return err_set(
			apt->err, -EINVAL,
			"The package %s is no %s and depends on none: give %s, "
			"or %s",
			package, is_source(apt) ? "kernel's source" : "kernel",
			is_source(apt) ? "linux-source"
				       : "linux-image-cloud-amd64",
			is_source(apt) ? "linux-source-6.1" : "a kernel's own");
	return 0;
}

/* The one file of that kind in a folder. To be freed; NULL: there is none. */
static char *find_deb(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	char *path = NULL;

	while (dir && !path && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len > 4 && strcmp(e->d_name + len - 4, ".deb") == 0 &&
		    asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			path = NULL;
	}
	if (dir)
		(void)closedir(dir);
	return path;
}

/* Where its file would be, if the caller has that already. Return: 1: so it
 * is; 0; -ENOMEM. */
static int ask_caller(const struct apt *apt, const char *name, char **deb)
{
	cleanup_buf struct buf out = {0};
	const char *line;
	char file[256];

	if (!apt->wish->has ||
	    aptget_ask(apt, "apt-get", "download", name, "--print-uris", &out,
		       NULL) != 0 ||
	    out.failed)
		return 0;
	line = strchr(out.data, '\'');
	if (!line || !aptget_file(line, file) ||
	    !apt->wish->has(apt->wish, file))
		return 0;
	if (asprintf(deb, "%s/%s", apt->folder, file) >= 0)
		return 1;
	*deb = NULL;
	return err_set(apt->err, -ENOMEM, "Out of memory");
}

static int download_one(const struct apt *apt, const char *name)
{
	cleanup_buf struct buf out = {0}, said = {0};
	int r = aptget_ask(apt, "apt-get", "download", name, NULL, &out, &said);

	return r != 0 ? failed(apt, r, "download the package", name, &said) : 0;
}

/* What the kernel @name is made of besides. */
static int download_parts(const struct apt *apt, const char *name)
{
	cleanup_buf struct buf out = {0}, said = {0};
	char part[128];
	int r = aptget_ask(apt, "apt-cache", "depends", name, NULL, &out,
			   &said);

	if (r != 0)
		return failed(apt, r, "find the parts of the package", name,
			      &said);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(aptget_parts); i++)
		if (out.data && aptget_depends(aptget_parts[i], out.data, part))
			r = download_one(apt, part);
	return r;
}

static int download(const struct apt *apt, const char *package, char **deb)
{
	char name[128];
	int r = follow(apt, package, name);

	if (r == 0)
		r = ask_caller(apt, name, deb);
	if (r != 0)
		return r;
	r = download_one(apt, name);
	if (r != 0)
		return r;
	*deb = find_deb(apt->folder);
	if (!*deb)
		return err_set(apt->err, -ENOENT,
			       "apt says that it downloaded %s, and left no "
			       "package",
			       name);
	return is_source(apt) ? 0 : download_parts(apt, name);
}

/* Where this machine has its packages of Debian from. */
static void find_mirror(const struct apt *apt, char *mirror, size_t size)
{
	cleanup_buf struct buf out = {0};
	static const char *const argv[] = {
		"apt-get",  "indextargets", "--no-release-info",
		"--format", "$(REPO_URI)",  "Created-By: Packages",
		NULL};
	const struct program program = {.argv = argv, .folder = apt->folder};
	const char *at;

	(void)snprintf(mirror, size, "%s", MIRROR);
	if (program_run(&program, &out, NULL) != 0 || out.failed)
		return;
	at = out.data;
	while (*at) {
		size_t len = strcspn(at, "\n"), n = len;

		while (n > 0 && at[n - 1] == '/')
			n--;
		if (n > 7 && n < size && strncmp(at, "http", 4) == 0 &&
		    strncmp(at + n - 7, "/debian", 7) == 0) {
			(void)snprintf(mirror, size, "%.*s", (int)n, at);
			return;
		}
		at += len + (at[len] == '\n');
	}
}

/* "bookworm", of this machine. */
static bool own_suite(char *suite, size_t size)
{
	static const char key[] = "VERSION_CODENAME=";
	FILE *file = fopen("/etc/os-release", "re");
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		found = aptget_is_suite(line + sizeof(key) - 1);
		if (found)
			(void)snprintf(suite, size, "%.*s", (int)NAME_MAX_LEN,
				       line + sizeof(key) - 1);
	}
	if (file)
		(void)fclose(file);
	return found;
}

static int write_text(const char *folder, const char *name, const char *text,
		      size_t len)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;

	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		  0644);
	return fd < 0 ? -errno : fd_write_full(fd, text, len);
}

/* The suite, and beside it where its kernels get their security fixes;
 * backports and what is no release yet have none. */
static int write_sources(const struct apt *apt, const char *mirror,
			 const char *suite, bool security)
{
	const char *keyring = access(KEYRING ".gpg", R_OK) == 0 ? KEYRING ".gpg"
			      : access(KEYRING ".pgp", R_OK) == 0 ? KEYRING
				      ".pgp"
								  : NULL;
	cleanup_buf struct buf text = {0};
	int r;

	for (int i = 0; i < 1 + security; i++)
		buf_addf(&text, "deb [target=Packages%s%s] %s%s %s%s main\n",
			 keyring ? " signed-by=" : "", keyring ? keyring : "",
			 mirror, i ? "-security" : "", suite,
			 i ? "-security" : "");
	r = text.failed ? -ENOMEM
			: write_text(apt->folder, "sources.list", text.data,
				     text.len);
	return r < 0 ? err_set(apt->err, r, "Cannot write into %s: %s",
			       apt->folder, err_name(r))
		     : 0;
}

/* An apt that knows one suite, and nothing of this machine but its keys. */
static int write_config(const struct apt *apt)
{
	static const char *const folders[] = {"lists", "lists/partial",
					      "archives", "archives/partial"};
	cleanup_buf struct buf config = {0};
	const char *f = apt->folder;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", f, folders[i]) < 0) {
			path = NULL;
			r = -ENOMEM;
		} else if (mkdir(path, 0755) < 0) {
			r = -errno;
		}
	}
	buf_addf(&config,
		 "Dir::Etc::SourceList \"%s/sources.list\";\n"
		 "Dir::Etc::SourceParts \"/dev/null\";\n"
		 "Dir::Etc::Preferences \"/dev/null\";\n"
		 "Dir::Etc::PreferencesParts \"/dev/null\";\n"
		 "Dir::State \"%s\";\n"
		 "Dir::State::status \"%s/status\";\n"
		 "Dir::Cache \"%s\";\n",
		 f, f, f, f);
	buf_add_str(&config, "APT::Architecture \"amd64\";\n"
			     "APT::Architectures { \"amd64\"; };\n"
			     "APT::Update::Error-Mode \"any\";\n"
			     "Acquire::Languages \"none\";\n"
			     "Acquire::Retries \"1\";\n"
			     "Acquire::http::Timeout \"20\";\n"
			     "Acquire::https::Timeout \"20\";\n"
			     "Debug::NoLocking \"true\";\n"
			     "#clear APT::Update::Post-Invoke;\n"
			     "#clear APT::Update::Post-Invoke-Success;\n"
			     "#clear DPkg::Post-Invoke;\n");
	if (config.failed)
		r = -ENOMEM;
	if (r == 0)
		r = write_text(f, "apt.conf", config.data, config.len);
	if (r == 0)
		r = write_text(f, "status", "", 0);
	return r < 0 ? err_set(apt->err, r, "Cannot write into %s: %s", f,
			       err_name(r))
		     : 0;
}

static int download_by_own_lists(struct apt *apt, const char *package,
				 const char *suite, char **deb)
{
	cleanup_buf struct buf out = {0}, said = {0};
	cleanup_free char *config = NULL;
	char mirror[256], own[128];
	int r;

	if (!suite && !own_suite(own, sizeof(own)))
		return err_set(apt->err, -ENOENT,
			       "This machine's apt does not know %s: say of "
			       "which Debian it is, --suite trixie",
			       package);
	find_mirror(apt, mirror, sizeof(mirror));
	suite = suite ? suite : own;
	r = write_config(apt);
	if (r == 0 && asprintf(&config, "%s/apt.conf", apt->folder) < 0) {
		config = NULL;
		r = err_set(apt->err, -ENOMEM, "Out of memory");
	}
	if (r < 0)
		return r;
	apt->config = config;
	/* A mirror of one's own may have no security fixes. */
	for (int security = !strchr(suite, '-'); security >= 0; security--) {
		r = write_sources(apt, mirror, suite, security);
		if (r < 0)
			return r;
		buf_clear(&said);
		r = aptget_ask(apt, "apt-get", "update", NULL, NULL, &out,
			       &said);
		if (r == 0)
			break;
	}
	if (r != 0)
		return failed(apt, r, "fetch the list of packages", "", &said);
	return download(apt, package, deb);
}

int aptget_fetch(const struct aptget *wish, struct progress *progress,
		 char **deb, struct err *err)
{
	struct apt apt = {
		.wish = wish,
		.folder = wish->folder,
		.progress = progress,
		.err = err,
	};
	int r = -ENOENT;

	*deb = NULL;
	if (!aptget_is_package(wish->package))
		return err_set(err, -EINVAL, "'%s' is no name of a package",
			       wish->package);
	if (wish->suite && !aptget_is_suite(wish->suite))
		return err_set(err, -EINVAL,
			       "'%s' is no name of a Debian's suite",
			       wish->suite);
	if (!wish->suite)
		r = download(&apt, wish->package, deb);
	return r == -ENOENT ? download_by_own_lists(&apt, wish->package,
						    wish->suite, deb)
			    : r;
}
