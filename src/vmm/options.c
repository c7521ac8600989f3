// SPDX-License-Identifier: Apache-2.0
/*
 * options.c - the command line of volt-vmm
 *
 * The rules are those of Firecracker's parser: every flag at most once, a value
 * is the next argument and does not start with "--", no abbreviations and no
 * "--flag=value", --help and --version win over everything else.
 */
#include "vmm/options.h"

#include "api/api.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_U64,
	OPTION_SIZE, /* MiB, or with K, M, G behind */
	OPTION_CPUS,
	OPTION_CHOICE,
	OPTION_LIST, /* may be given several times */
};

enum option_section {
	SECTION_PEOPLE,
	SECTION_COMPATIBLE,
};

/**
 * struct option - one flag
 * @value:	how --help calls its value
 * @offset:	in struct options, of the kind's type
 * @has:	offset of a bool that tells that it was given; 0: none
 * @choices:	NULL-terminated; the enum's value is the index
 * @forbids:	a flag that excludes it
 * @needs:	a flag without which it says nothing
 */
struct option {
	const char *name;
	enum option_kind kind;
	enum option_section section;
	size_t offset;
	size_t has;
	const char *value;
	const char *const *choices;
	const char *forbids;
	const char *needs;
	const char *help;
};

#define AT(member)  .offset = offsetof(struct options, member)
#define HAS(member) .has = offsetof(struct options, member)
#define CHOICES(...)                     \
	.choices = (const char *const[]) \
	{                                \
		__VA_ARGS__, NULL        \
	}

/* clang-format off */
static const struct option table[] = {
	{"kernel", OPTION_TEXT, SECTION_PEOPLE, AT(kernel),
	 .value = "FILE",
	 .help = "kernel to boot: ELF vmlinux or bzImage"},
	{"initrd", OPTION_TEXT, SECTION_PEOPLE, AT(initrd),
	 .value = "FILE",
	 .help = "initial RAM disk"},
	{"cmdline", OPTION_TEXT, SECTION_PEOPLE, AT(cmdline),
	 .value = "TEXT",
	 .help = "kernel command line"},
	{"cpus", OPTION_CPUS, SECTION_PEOPLE, AT(cpus),
	 .value = "N",
	 .forbids = "restore",
	 .help = "number of CPUs, 1 to 32 (default 1)"},
	{"memory", OPTION_SIZE, SECTION_PEOPLE, AT(memory_mib),
	 .value = "SIZE",
	 .forbids = "restore",
	 .help = "guest memory in MiB, or with a unit: 512M, 2G (default 128)"},
	{"disk", OPTION_LIST, SECTION_PEOPLE, AT(disks),
	 .value = "PATH[,ro][,id=ID][,engine=async][,cache=unsafe]",
	 .help = "raw image or block device; without --initrd the first one\n"
		 "is the root file system; with --restore ID=PATH: another\n"
		 "file for a drive of the snapshot"},
	{"net", OPTION_LIST, SECTION_PEOPLE, AT(nets),
	 .value = "tap=NAME[,mac=MAC][,mtu=N][,vhost]",
	 .help = "network interface on a tap (see `volt net add`);\n"
		 "vhost: the host kernel moves the frames;\n"
		 "with --restore ID=TAP: another tap"},
	{"vsock", OPTION_TEXT, SECTION_PEOPLE, AT(vsock),
	 .value = "cid=N,path=SOCKET",
	 .help = "sockets between guest and host (docs/devices.md);\n"
		 "with --restore SOCKET: another path"},
	{"irqchip", OPTION_CHOICE, SECTION_PEOPLE, AT(irqchip),
	 .value = "split|full", CHOICES("split", "full"),
	 .forbids = "restore",
	 .help = "full adds the PIC and PIT for guests that need them"},
	{"entry", OPTION_CHOICE, SECTION_PEOPLE, AT(entry),
	 .value = "auto|pvh|linux64", CHOICES("auto", "pvh", "linux64"),
	 .forbids = "restore",
	 .help = "protocol by which an ELF kernel is entered"},
	{"restore", OPTION_TEXT, SECTION_PEOPLE, AT(restore),
	 .value = "DIR",
	 .help = "go on from the snapshot in a directory"},
	{"paused", OPTION_FLAG, SECTION_PEOPLE, AT(paused),
	 .needs = "restore",
	 .help = "the restored VM waits for PATCH /vm"},
	{"clock", OPTION_CHOICE, SECTION_PEOPLE, AT(clock),
	 .value = "snapshot|realtime", CHOICES("snapshot", "realtime"),
	 .needs = "restore",
	 .help = "the restored guest's clock goes on where it stood\n"
		 "(default), or the time between is added"},
	{"snapshot", OPTION_TEXT, SECTION_PEOPLE, AT(snapshot),
	 .value = "DIR",
	 .help = "ask the VMM at --api-sock for a snapshot, and exit"},
	{"track-dirty-pages", OPTION_FLAG, SECTION_PEOPLE,
	 AT(track_dirty_pages),
	 .help = "note which memory the guest writes: diff snapshots hold\n"
		 "what changed since the last one (docs/snapshots.md)"},
	{"lock-drives", OPTION_FLAG, SECTION_PEOPLE, AT(lock_drives),
	 .help = "refuse a drive whose file another VM or program uses, where\n"
		 "the log warns else"},
	{"timing", OPTION_FLAG, SECTION_PEOPLE, AT(timing),
	 .help = "print a timeline of the start to stderr at the end"},

	{"api-sock", OPTION_TEXT, SECTION_COMPATIBLE, AT(api_sock),
	 .value = "PATH",
	 .help = "Unix socket of the API (default " OPTIONS_API_SOCK_DEFAULT
		 ";\nwith --kernel: no API)"},
	{"id", OPTION_TEXT, SECTION_COMPATIBLE, AT(id),
	 .value = "ID",
	 .help = "name of the microVM: 1 to 64 letters, digits and '-'"},
	{"config-file", OPTION_TEXT, SECTION_COMPATIBLE, AT(config_file),
	 .value = "FILE",
	 .help = "configure from a JSON file, then start"},
	{"no-api", OPTION_FLAG, SECTION_COMPATIBLE, AT(no_api),
	 .help = "no API socket; needs --config-file or --kernel"},
	{"metadata", OPTION_TEXT, SECTION_COMPATIBLE, AT(metadata),
	 .value = "FILE",
	 .help = "initial contents of the metadata service, JSON"},
	{"log-path", OPTION_TEXT, SECTION_COMPATIBLE, AT(log_path),
	 .value = "PATH",
	 .help = "file or FIFO of the log (default: stderr)"},
	{"level", OPTION_TEXT, SECTION_COMPATIBLE, AT(level),
	 .value = "LEVEL",
	 .help = "Off, Error, Warning, Info, Debug or Trace"},
	{"module", OPTION_TEXT, SECTION_COMPATIBLE, AT(module),
	 .value = "PREFIX",
	 .help = "log only what comes from sources that begin so"},
	{"show-level", OPTION_FLAG, SECTION_COMPATIBLE, AT(show_level),
	 .help = "put the level into log lines"},
	{"show-log-origin", OPTION_FLAG, SECTION_COMPATIBLE,
	 AT(show_log_origin),
	 .help = "put source file and line into log lines"},
	{"metrics-path", OPTION_TEXT, SECTION_COMPATIBLE, AT(metrics_path),
	 .value = "PATH",
	 .help = "file or FIFO of the metrics"},
	{"boot-timer", OPTION_FLAG, SECTION_COMPATIBLE, AT(boot_timer),
	 .help = "log the time at which the guest says that it is up"},
	{"seccomp-filter", OPTION_TEXT, SECTION_COMPATIBLE,
	 AT(seccomp_filter), .forbids = "no-seccomp",
	 .value = "FILE",
	 .help = "seccomp filters of one's own"},
	{"no-seccomp", OPTION_FLAG, SECTION_COMPATIBLE, AT(no_seccomp),
	 .forbids = "seccomp-filter",
	 .help = "run without seccomp filters (not recommended)"},
	{"http-api-max-payload-size", OPTION_U64, SECTION_COMPATIBLE,
	 AT(payload_max),
	 .value = "BYTES",
	 .help = "largest body of a request (default 51200)"},
	{"mmds-size-limit", OPTION_U64, SECTION_COMPATIBLE,
	 AT(mmds_size_limit), HAS(has_mmds_size_limit),
	 .value = "BYTES",
	 .help = "largest metadata store (default: as the body's)"},
	{"enable-pci", OPTION_FLAG, SECTION_COMPATIBLE, AT(enable_pci),
	 .help = "devices on PCI instead of MMIO"},
	{"start-time-us", OPTION_U64, SECTION_COMPATIBLE, AT(start_time_us),
	 HAS(has_start_time_us),
	 .value = "US",
	 .help = "start of the process, monotonic clock (from a jailer)"},
	{"start-time-cpu-us", OPTION_U64, SECTION_COMPATIBLE,
	 AT(start_time_cpu_us), HAS(has_start_time_cpu_us),
	 .value = "US",
	 .help = "start of the process, its CPU clock (from a jailer)"},
	{"parent-cpu-time-us", OPTION_U64, SECTION_COMPATIBLE,
	 AT(parent_cpu_time_us),
	 .value = "US",
	 .help = "CPU time of the parent (from a jailer)"},
	{"snapshot-version", OPTION_FLAG, SECTION_COMPATIBLE,
	 AT(snapshot_version),
	 .help = "print the version of the snapshot format"},
	{"describe-snapshot", OPTION_TEXT, SECTION_COMPATIBLE,
	 AT(describe_snapshot),
	 .value = "FILE",
	 .help = "check the CRC of a snapshot's state file, and print its\n"
		 "format version"},
};
/* clang-format on */

#define NR_OPTIONS ARRAY_SIZE(table)

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < NR_OPTIONS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static int parse_u64(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

/* "512", "512M", "2G", "524288K": MiB */
static int parse_size(const char *text, uint64_t *mib)
{
	uint64_t unit = MIB(1);
	uint64_t n, bytes;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		static const char units[] = "KMGT";
		const char *p = strchr(units, toupper((unsigned char)*end));

		if (!p || end[1])
			return -EINVAL;
		unit = KIB(1) << (10 * (p - units));
	}
	if (__builtin_mul_overflow(n, unit, &bytes) || bytes < MIB(1) ||
	    bytes % MIB(1) != 0)
		return -EINVAL;
	*mib = bytes / MIB(1);
	return 0;
}

static int bad_value(const struct option *opt, const char *text,
		     struct err *err)
{
	static const char *const expected[] = {
		[OPTION_U64] = "a number",
		[OPTION_SIZE] = "a size in MiB, or one such as 512M or 2G",
		[OPTION_CPUS] = "a number from 1 to 32",
	};

	return err_set(err, -EINVAL,
		       "The argument '%s' does not take '%s': expected %s.",
		       opt->name, text,
		       opt->kind == OPTION_CHOICE ? opt->value
						  : expected[opt->kind]);
}

static int parse_choice(const struct option *opt, const char *text,
			unsigned int *value)
{
	for (unsigned int i = 0; opt->choices[i]; i++) {
		if (strcmp(opt->choices[i], text) == 0) {
			*value = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int add_to_list(const struct option *opt, struct options_list *list,
		       const char *text, struct err *err)
{
	if (list->nr == OPTIONS_LIST_MAX)
		return err_set(err, -E2BIG,
			       "The argument '%s' was provided more than %d "
			       "times.",
			       opt->name, OPTIONS_LIST_MAX);
	list->text[list->nr++] = text;
	return 0;
}

static int set_value(struct options *opts, const struct option *opt,
		     const char *text, struct err *err)
{
	void *at = (char *)opts + opt->offset;
	uint64_t n;
	int r = 0;

	switch (opt->kind) {
	case OPTION_FLAG:
		*(bool *)at = true;
		break;
	case OPTION_TEXT:
		*(const char **)at = text;
		break;
	case OPTION_U64:
		r = parse_u64(text, at);
		break;
	case OPTION_SIZE:
		r = parse_size(text, at);
		break;
	case OPTION_CPUS:
		r = parse_u64(text, &n);
		if (r == 0 && (n < 1 || n > CONFIG_VCPUS_MAX))
			r = -EINVAL;
		if (r == 0)
			*(unsigned int *)at = (unsigned int)n;
		break;
	case OPTION_CHOICE:
		r = parse_choice(opt, text, at);
		break;
	case OPTION_LIST:
		return add_to_list(opt, at, text, err);
	}
	if (r < 0)
		return bad_value(opt, text, err);
	if (opt->has)
		*(bool *)((char *)opts + opt->has) = true;
	return 0;
}

static bool has_argument(int argc, char **argv, const char *text)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], text) == 0)
			return true;
	return false;
}

static int parse_all(struct options *opts, int argc, char **argv,
		     bool seen[static NR_OPTIONS], struct err *err)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = argv[i];
		const struct option *opt = NULL;
		const char *text = NULL;
		int r;

		if (strncmp(name, "--", 2) == 0) {
			name += 2;
			opt = find(name);
		}
		if (!opt)
			return err_set(err, -EINVAL,
				       "Found argument '%s' which wasn't "
				       "expected, or isn't valid in this "
				       "context.",
				       name);
		if (seen[opt - table] && opt->kind != OPTION_LIST)
			return err_set(err, -EINVAL,
				       "The argument '%s' was provided more "
				       "than once.",
				       name);
		seen[opt - table] = true;
		if (opt->kind != OPTION_FLAG) {
			text = i + 1 < argc ? argv[++i] : NULL;
			if (!text || strncmp(text, "--", 2) == 0)
				return err_set(err, -EINVAL,
					       "The argument '%s' requires a "
					       "value, but none was supplied.",
					       name);
		}
		r = set_value(opts, opt, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);

	if (len < 1 || len > 64)
		return err_set(err, -EINVAL,
			       "Invalid instance ID: its length is %zu, not 1 "
			       "to 64.",
			       len);
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && *id != '-')
			return err_set(err, -EINVAL,
				       "Invalid instance ID: '%c' is no "
				       "letter, digit or '-'.",
				       *id);
	return 0;
}

static int check_rules(const struct options *opts,
		       const bool seen[static NR_OPTIONS], struct err *err)
{
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		const char *other = table[i].forbids;
		const char *needed = table[i].needs;

		if (seen[i] && other && seen[find(other) - table])
			return err_set(err, -EINVAL,
				       "Argument '%s' cannot be used together "
				       "with argument '%s'.",
				       table[i].name, other);
		if (seen[i] && needed && !seen[find(needed) - table])
			return err_set(err, -EINVAL,
				       "Argument '%s' required, but not found.",
				       needed);
	}
	if (opts->restore && (opts->kernel || opts->config_file))
		return err_set(err, -EINVAL,
			       "Argument 'restore' cannot be used together "
			       "with argument '%s'.",
			       opts->kernel ? "kernel" : "config-file");
	if ((opts->snapshot || opts->paused) && !opts->api_sock)
		return err_set(err, -EINVAL,
			       "Argument 'api-sock' required, but not found.");
	/* A direct kernel is all that --no-api needs as well. */
	if (opts->no_api && !opts->config_file && !opts->kernel &&
	    !opts->restore)
		return err_set(err, -EINVAL,
			       "Argument 'config-file' required, but not "
			       "found.");
	if (opts->kernel && opts->config_file)
		return err_set(err, -EINVAL,
			       "Argument 'kernel' cannot be used together "
			       "with argument 'config-file'.");
	if (!opts->kernel && (opts->initrd || opts->cmdline))
		return err_set(err, -EINVAL,
			       "Argument 'kernel' required, but not found.");
	return check_id(opts->id, err);
}

int options_parse(struct options *opts, int argc, char **argv, struct err *err)
{
	bool seen[NR_OPTIONS] = {false};
	int r;

	*opts = (struct options){
		.id = OPTIONS_ID_DEFAULT,
		.payload_max = OPTIONS_PAYLOAD_DEFAULT,
	};
	if (has_argument(argc, argv, "--help")) {
		opts->action = OPTIONS_HELP;
		return 0;
	}
	if (has_argument(argc, argv, "--version")) {
		opts->action = OPTIONS_VERSION;
		return 0;
	}
	r = parse_all(opts, argc, argv, seen, err);
	if (r == 0)
		r = check_rules(opts, seen, err);
	if (r < 0) {
		err_prefix(err, "Arguments parsing error: ");
		return r;
	}
	if (!opts->has_mmds_size_limit)
		opts->mmds_size_limit = opts->payload_max;
	if (opts->snapshot_version)
		opts->action = OPTIONS_SNAPSHOT_VERSION;
	else if (opts->describe_snapshot)
		opts->action = OPTIONS_DESCRIBE_SNAPSHOT;
	else if (opts->snapshot)
		opts->action = OPTIONS_SNAPSHOT;
	return 0;
}

/* One flag: its name and value, then its help in a column of its own. */
static void print_option(const struct option *opt)
{
	const char *line = opt->help;
	int width = printf("  --%s%s%s", opt->name, opt->value ? " " : "",
			   opt->value ? opt->value : "");

	if (width > 30)
		width = printf("\n") - 1;
	while (*line) {
		int len = (int)strcspn(line, "\n");

		(void)printf("%*s%.*s\n", 32 - width, "", len, line);
		width = 0;
		line += len;
		line += *line == '\n';
	}
}

static void print_section(enum option_section section)
{
	for (size_t i = 0; i < NR_OPTIONS; i++)
		if (table[i].section == section)
			print_option(&table[i]);
}

void options_print_help(const char *program)
{
	(void)printf("%s %s: one KVM microVM\n"
		     "\n"
		     "Boot a kernel and see its console:\n"
		     "  %s --kernel vmlinux --initrd initrd.cpio \\\n"
		     "      --cmdline 'console=ttyS0 reboot=k' --memory 512M "
		     "--cpus 2\n"
		     "\n"
		     "Wait for a client of Firecracker's API:\n"
		     "  %s --api-sock /tmp/vm.sock\n"
		     "  curl --unix-socket /tmp/vm.sock "
		     "http://localhost/machine-config\n"
		     "\n"
		     "Start what a file describes, without an API:\n"
		     "  %s --no-api --config-file vm.json\n"
		     "\n"
		     "On the console, Ctrl-A x ends the VM. The guest's reboot "
		     "and power-off end it too.\n"
		     "\n"
		     "Flags for people:\n",
		     program, VOLT_VERSION, program, program, program);
	print_section(SECTION_PEOPLE);
	(void)printf("\nFirecracker's flags:\n");
	print_section(SECTION_COMPATIBLE);
	(void)printf("  --version                     print the versions\n"
		     "  --help                        print this\n");
}

void options_print_version(void)
{
	(void)printf("Firecracker v%s\n\nVolt v%s\n",
		     FIRECRACKER_COMPAT_VERSION, VOLT_VERSION);
}

static int set_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	if (from && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int open_image(const char *path, const char *what, int *to,
		      struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_set(err, -errno, "Cannot open the %s %s: %s", what,
			       path, err_name(errno));
	fd_close(to);
	*to = fd;
	return 0;
}

static int apply_kernel(const struct options *opts,
			struct boot_source_config *boot, struct err *err)
{
	int r;

	if (opts->cmdline && strlen(opts->cmdline) >= CONFIG_CMDLINE_MAX)
		return err_set(err, -E2BIG,
			       "The kernel command line has %zu characters; "
			       "%d is the most",
			       strlen(opts->cmdline), CONFIG_CMDLINE_MAX - 1);
	if (set_text(&boot->kernel_image_path, opts->kernel) < 0 ||
	    set_text(&boot->initrd_path, opts->initrd) < 0 ||
	    set_text(&boot->boot_args, opts->cmdline) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	r = open_image(opts->kernel, "kernel", &boot->kernel_fd, err);
	if (r == 0 && opts->initrd)
		r = open_image(opts->initrd, "initrd", &boot->initrd_fd, err);
	boot->present = r == 0;
	return r;
}

int options_apply(const struct options *opts, struct vm_config *config,
		  struct err *err)
{
	int r = set_text(&config->id, opts->id);

	if (r < 0)
		return err_set(err, r, "Out of memory");
	config->boot_timer = opts->boot_timer;
	if (opts->restore)
		return 0; /* the snapshot has the rest */
	config->irqchip = opts->irqchip;
	config->entry = opts->entry;
	if (opts->cpus) {
		config->machine.vcpu_count = opts->cpus;
		config->machine.present = true;
	}
	if (opts->memory_mib) {
		config->machine.mem_size_mib = opts->memory_mib;
		config->machine.present = true;
	}
	if (opts->track_dirty_pages) {
		config->machine.track_dirty_pages = true;
		config->machine.present = true;
	}
	for (unsigned int i = 0; i < opts->disks.nr && r == 0; i++)
		r = option_disk_apply(opts->disks.text[i], i,
				      i == 0 && opts->kernel && !opts->initrd,
				      config, err);
	for (unsigned int i = 0; i < opts->nets.nr && r == 0; i++)
		r = option_net_apply(opts->nets.text[i], i, config, err);
	if (r == 0 && opts->vsock)
		r = option_vsock_apply(opts->vsock, config, err);
	if (r == 0 && opts->kernel)
		r = apply_kernel(opts, &config->boot_source, err);
	return r;
}
