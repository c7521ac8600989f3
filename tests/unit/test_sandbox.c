// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox.c - the stages, the host's file, and files of filters
 */
#include "unit.h"

#include "base/fd.h"
#include "sandbox_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- the host's file ---- */

static int read_host(struct sandbox *s, const char *text, struct err *err)
{
	char path[] = "sandbox-host-XXXXXX";
	int fd = mkstemp(path);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	(void)close(fd);
	r = sandbox_read_host(s, path, err);
	(void)unlink(path);
	return r;
}

static void test_host_file(void **state)
{
	static const struct {
		const char *text;
		int r;
		enum sandbox_mode mode;
		unsigned int min_abi;
	} cases[] = {
		{"", 0, SANDBOX_OFF, 1},
		{"mode strict\n", 0, SANDBOX_STRICT, 1},
		{"mode best-effort", 0, SANDBOX_BEST_EFFORT, 1},
		{"mode off\n", 0, SANDBOX_OFF, 1},
		{"# ours\n\n\tmode  strict # all\nmin-abi 6\n", 0,
		 SANDBOX_STRICT, 6},
		{"min-abi 99", 0, SANDBOX_OFF, 99},
		{"min-abi 0", -EINVAL, SANDBOX_OFF, 1},
		{"min-abi 100", -EINVAL, SANDBOX_OFF, 1},
		{"min-abi x", -EINVAL, SANDBOX_OFF, 1},
		{"mode", -EINVAL, SANDBOX_OFF, 1},
		{"mode Strict", -EINVAL, SANDBOX_OFF, 1},
		{"mode strict off", -EINVAL, SANDBOX_OFF, 1},
		{"modus strict", -EINVAL, SANDBOX_OFF, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sandbox s = {.mode = SANDBOX_OFF, .min_abi = 1};
		struct err err = {0};

		assert_int_equal(read_host(&s, cases[i].text, &err),
				 cases[i].r);
		assert_int_equal(s.mode, cases[i].mode);
		assert_int_equal(s.min_abi, cases[i].min_abi);
	}
}

static void test_no_host_file(void **state)
{
	struct sandbox s = {.mode = SANDBOX_BEST_EFFORT};
	struct err err = {0};

	(void)state;
	assert_int_equal(sandbox_read_host(&s, "/no/such/file", &err), 0);
	assert_int_equal(s.mode, SANDBOX_BEST_EFFORT);
	assert_int_equal(sandbox_read_host(&s, "/", &err), -EISDIR);
}

static void test_host_file_is_too_long(void **state)
{
	struct sandbox s = {0};
	struct err err = {0};
	char text[1500];

	(void)state;
	memset(text, '\n', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(read_host(&s, text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no text"));
}

/* ---- early ---- */

static int close_strays(const void *what)
{
	char program[] = "volt-vmm", log[] = "/dev/fd/40", other[] = "x",
	     metrics[] = "--metrics-path=/proc/self/fd/42";
	char *argv[] = {program, log, metrics, other, NULL};
	struct err err;

	(void)what;
	for (int fd = 39; fd <= 45; fd++)
		must(dup2(1, fd) == fd);
	must(sandbox_early(4, argv, (int[]){43, 44}, &err) == 0);
	for (int fd = 0; fd <= 45; fd++) {
		bool open = fcntl(fd, F_GETFD) >= 0;

		must(open == (fd <= 2 || fd == 40 || (fd >= 42 && fd <= 44)));
	}
	must(umask(0) == 077);
	return FATE_DONE;
}

static void test_early(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(close_strays(NULL));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_early_names_too_many(void **state)
{
	char word[] = "/dev/fd/50";
	char *argv[SANDBOX_KEEP_MAX + 3];
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		argv[i] = word;
	assert_int_equal(
		sandbox_early(ARRAY_SIZE(argv), argv, (int[]){-1, -1}, &err),
		-E2BIG);
}

/* ---- what the host has ---- */

static void test_check(void **state)
{
	struct sandbox s = {.mode = SANDBOX_STRICT, .min_abi = 1};
	struct err err = {0};

	(void)state;
	if (landlock_abi() == 0)
		skip(); /* the lab's kernels have it */
	assert_int_equal(sandbox_check(&s, &err), 0);
	assert_true(s.abi >= 1 && s.abi <= LANDLOCK_ABI_KNOWN);
	s.min_abi = 99;
	assert_int_equal(sandbox_check(&s, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "--sandbox-min-abi 99"));
	assert_non_null(strstr(err.text, "--sandbox best-effort"));
	s.mode = SANDBOX_BEST_EFFORT;
	assert_int_equal(sandbox_check(&s, &err), 0);
}

static int rights(unsigned int abi)
{
	struct landlock_rights r = landlock_rights(abi);

	return __builtin_popcountll(r.fs) + __builtin_popcountll(r.net) +
	       __builtin_popcountll(r.scoped);
}

static void test_rights_by_abi(void **state)
{
	/* kernel: Documentation/userspace-api/landlock.rst */
	static const int nr[] = {0, 13, 14, 15, 17, 18, 20, 20, 20, 21, 23, 23};

	(void)state;
	for (unsigned int abi = 0; abi < ARRAY_SIZE(nr); abi++)
		assert_int_equal(rights(abi), nr[abi]);
	assert_int_equal(landlock_rights(10).fs, (1ull << 17) - 1);
	assert_int_equal(landlock_rights(10).net, 15);
	assert_int_equal(landlock_rights(10).scoped, 3);
}

static void test_gaps(void **state)
{
	struct sandbox s = {
		.mode = SANDBOX_STRICT,
		.abi = 10,
		.has_seccomp = true,
	};
	char text[SANDBOX_GAP_MAX];

	(void)state;
	assert_int_equal(sandbox_gap(&s, 0, text), 0);
	s.abi = 2;
	assert_true(sandbox_gap(&s, 0, text) > 0);
	assert_string_equal(text, "truncating files: Landlock's ABI is 2, "
				  "seccomp stops it alone");
	assert_true(sandbox_gap(&s, 5, text) > 0);
	assert_int_equal(sandbox_gap(&s, 6, text), 0);
	s.filters = SANDBOX_FILTERS_NONE;
	assert_true(sandbox_gap(&s, 0, text) > 0);
	assert_string_equal(text, "system calls: --no-seccomp");
	assert_true(sandbox_gap(&s, 1, text) > 0);
	assert_string_equal(text, "truncating files: Landlock's ABI is 2");
	s.mode = SANDBOX_OFF;
	assert_true(sandbox_gap(&s, 0, text) > 0);
	assert_int_equal(sandbox_gap(&s, 1, text), 0);
}

static int look_at_lock(const void *what)
{
	struct rlimit core;

	(void)what;
	must(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
	must(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return FATE_DONE;
}

static void test_lock(void **state)
{
	const struct child child = {
		.thread = SANDBOX_NR_THREADS,
		.abi = landlock_abi() ? 1 : 0,
		.deed = look_at_lock,
	};
	struct sandbox off = {.mode = SANDBOX_OFF};
	struct err err = {0};

	(void)state;
	assert_int_equal(child_fate(&child), FATE_DONE);
	assert_int_equal(sandbox_lock(&off, &err), 0);
	assert_int_equal(sandbox_thread(&off, SANDBOX_VMM), 0);
	assert_int_equal(sandbox_lock(NULL, &err), 0);
	assert_int_equal(sandbox_thread(NULL, SANDBOX_VMM), 0);
	assert_false(sandbox_is_locked(&off));
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

/* ---- files of --seccomp-filter ---- */

/**
 * struct file - such a file, in the making
 */
struct file {
	uint8_t bytes[1024];
	size_t len;
};

static void add_number(struct file *f, uint64_t n)
{
	memcpy(f->bytes + f->len, &n, sizeof(n));
	f->len += sizeof(n);
}

static void add_entry(struct file *f, const char *name, uint64_t nr,
		      uint64_t code)
{
	add_number(f, strlen(name));
	memcpy(f->bytes + f->len, name, strlen(name));
	f->len += strlen(name);
	add_number(f, nr);
	for (uint64_t i = 0; i < nr; i++)
		add_number(f, code);
}

static int parse(const struct file *f, size_t len, struct err *err)
{
	struct filter_file out = {0};
	int r = filter_file_parse(&out, f->bytes, len, err);

	filter_file_free(&out);
	return r;
}

#define RET_ALLOW 0x7fff000000000006ull /* as one instruction */

static struct file whole_file(void)
{
	struct file f = {.len = 0};

	add_number(&f, 3);
	add_entry(&f, "VmM", 2, RET_ALLOW);
	add_entry(&f, "api", 0, 0);
	add_entry(&f, "vcpu", 1, RET_ALLOW);
	return f;
}

static void test_filter_file(void **state)
{
	const struct file f = whole_file();
	struct filter_file out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(filter_file_parse(&out, f.bytes, f.len, &err), 0);
	assert_int_equal(out.program[FILTER_FILE_VMM].nr, 2);
	assert_int_equal(out.program[FILTER_FILE_VMM].code[1].k, 0x7fff0000);
	assert_int_equal(out.program[FILTER_FILE_API].nr, 0);
	assert_int_equal(seccomp_load_custom(&out.program[FILTER_FILE_API]), 0);
	assert_int_equal(out.program[FILTER_FILE_VCPU].nr, 1);
	filter_file_free(&out);
}

/* Cut anywhere, it is refused in Firecracker's words. */
static void test_filter_file_cut(void **state)
{
	const struct file f = whole_file();
	struct err err = {0};

	(void)state;
	for (size_t len = 0; len < f.len; len++) {
		assert_int_equal(parse(&f, len, &err), -EINVAL);
		assert_non_null(
			strstr(err.text, "Filter deserialization failed: "));
	}
}

static void test_filter_file_hostile(void **state)
{
	static const uint64_t numbers[] = {
		99999,      100001,     UINT32_MAX,
		1ull << 61, UINT64_MAX, UINT64_MAX / 8,
	};
	struct err err = {0};

	(void)state;
	for (size_t at = 0; at <= 40; at++) {
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
			struct file f = whole_file();

			memcpy(f.bytes + at, &numbers[i], sizeof(numbers[i]));
			(void)parse(&f, f.len, &err); /* no crash, no hang */
		}
	}
}

static void test_filter_file_threads(void **state)
{
	struct file f = {.len = 0};
	struct err err = {0};

	(void)state;
	add_number(&f, 2);
	add_entry(&f, "vmm", 0, 0);
	add_entry(&f, "vcpu", 0, 0);
	assert_int_equal(parse(&f, f.len, &err), -EINVAL);
	assert_string_equal(err.text, "Missing thread category: api");
	f.len = 0;
	add_number(&f, 2);
	add_entry(&f, "thread1", 0, 0);
	add_entry(&f, "thr\nad2", 0, 0);
	assert_int_equal(parse(&f, f.len, &err), -EINVAL);
	assert_string_equal(err.text,
			    "Invalid thread categories: thread1,thr\\nad2");
}

static void test_filter_file_read(void **state)
{
	struct filter_file out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(filter_file_read(&out, "/no/such/file", &err),
			 -ENOENT);
	assert_string_equal(err.text,
			    "Filter file open error: No such file or directory "
			    "(os error 2)");
	assert_int_equal(filter_file_read(&out, "/dev/null", &err), -EINVAL);
	assert_int_equal(filter_file_read(&out, "/dev/zero", &err), -EINVAL);
	assert_string_equal(err.text, "Missing thread category: vmm");
	filter_file_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_file),
		cmocka_unit_test(test_no_host_file),
		cmocka_unit_test(test_host_file_is_too_long),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_early_names_too_many),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_rights_by_abi),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_filter_file),
		cmocka_unit_test(test_filter_file_cut),
		cmocka_unit_test(test_filter_file_hostile),
		cmocka_unit_test(test_filter_file_threads),
		cmocka_unit_test(test_filter_file_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
