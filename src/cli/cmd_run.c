// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_run.c - `volt run`: a VM with its console on this terminal
 *
 * It finds a kernel (kernel_run.h) and becomes volt-vmm (launch.h). With an
 * image it runs a command of that in a VM (run_image.h).
 */
#include "cli/background.h"
#include "cli/cache.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/image_choice.h"
#include "cli/kernel_run.h"
#include "cli/launch.h"
#include "cli/net_user.h"
#include "cli/run_image.h"
#include "cli/signals.h"

#include "base/fd.h"
#include "config/vm_args.h"
#include "config/words.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CMDLINE       "console=ttyS0 reboot=k panic=1"
#define CMDLINE_SHELL CMDLINE " quiet volt.quiet volt.end=shell"
#define CMDLINE_IMAGE CMDLINE " quiet"
/* Nobody else tells the kernel to use what is plugged. */
#define HOTPLUG_WORDS " memhp_default_state=online"
#define NO_KERNEL                                             \
	"There is no kernel yet: `volt kernel add --package " \
	"linux-image-cloud-amd64` fetches Debian's, --kernel names a file"

/**
 * struct run - the command line
 * @image:	what IMAGE names; NULL: there is none
 * @found:	it
 * @detach, @remove: it goes into the background; nothing is kept of it
 */
struct run {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *vsock;
	uint64_t memory_mib;
	uint64_t hotplug_mib;
	uint64_t cpus;
	uint64_t timeout_s;
	uint64_t sandbox_min_abi;
	unsigned int sandbox;
	bool isolate;
	struct bounds bounds;
	struct arg_list disks;
	struct arg_list pmems;
	struct arg_list nets;
	struct arg_list publish;
	bool share_drives;
	bool detach;
	bool remove;
	const char *entrypoint;
	const char *layer;
	bool no_warm;
	struct guest_options guest;
	const char *image;
	struct image_choice found;
	struct args args;
	struct kernel_choice choice;
	char *whole_cmdline;
	char default_initrd[PATH_MAX];
	struct launch launch;
	struct background background;
	struct net_user net;
	struct run_image way;
};

#define AT(member) .offset = offsetof(struct run, member)
#define OWN        .group = LAUNCH_GROUP_OWN

/* clang-format off */
static const struct arg run_args[] = {
	LAUNCH_ARG_NAME(AT(name)),
	{"kernel", "FILE|NAME", "kernel to boot: a name of `volt kernel ls`, or "
	 "a file, ELF vmlinux or bzImage (default: the one that `volt kernel "
	 "default` prints)", .kind = ARG_TEXT, AT(kernel)},
	VM_ARG_INITRD(AT(initrd)),
	VM_ARG_CMDLINE(" (default: " CMDLINE ")", AT(cmdline)),
	VM_ARG_MEMORY("128; 256 with a kernel that has a name", AT(memory_mib)),
	VM_ARG_HOTPLUG(AT(hotplug_mib)),
	VM_ARG_CPUS(AT(cpus)),
	VM_ARG_DISK("", AT(disks)),
	VM_ARG_PMEM("", AT(pmems)),
	LAUNCH_ARG_SHARE_DRIVES(AT(share_drives)),
	{"net", NET_USER_USAGE, NET_USER_HELP
	 "that `volt net add` made, or at a socket; may be given several times",
	 .kind = ARG_LIST, AT(nets)},
	{"publish", "[ADDRESS:]PORT:GUEST-PORT[/udp]", "with --net user: a port "
	 "of this host leads to the guest's; ADDRESS is one of this host's "
	 "(default 127.0.0.1); may be given several times", .kind = ARG_LIST,
	 .letter = 'p', OWN, AT(publish)},
	VM_ARG_VSOCK("", AT(vsock)),
	VM_ARG_TIMEOUT(AT(timeout_s)),
	VM_ARG_SANDBOX(SANDBOX_HOST_FILE, AT(sandbox)),
	VM_ARG_SANDBOX_MIN_ABI(AT(sandbox_min_abi)),
	VM_ARG_ISOLATE(AT(isolate)),
	BOUNDS_ARG_MEMORY(AT(bounds.group.memory_mib)),
	BOUNDS_ARG_CPU(AT(bounds.group.cpu)),
	BOUNDS_ARG_PIDS(AT(bounds.group.pids)),
	BOUNDS_ARG_CGROUP(AT(bounds.group.parent)),
	BOUNDS_ARG_FILE(AT(bounds.file_mib)),
	BOUNDS_ARG_LOG(AT(bounds.log)),
	BOUNDS_ARG_LOG_SIZE(AT(bounds.log_mib)),
	{"detach", NULL, "-d: in the background; prints the VM's name when it "
	 "runs. `volt logs` shows what it said, `volt ps -a` how it ended, "
	 "until `volt rm`", .letter = 'd', .kind = ARG_FLAG,
	 .group = LAUNCH_GROUP_BACK, AT(detach)},
	{"rm", NULL, "nothing is kept of it when it has ended",
	 .kind = ARG_FLAG, .group = LAUNCH_GROUP_BACK, .needs = "detach",
	 AT(remove)},
	GUEST_ARG_INTERACTIVE(OWN, AT(guest.interactive)),
	GUEST_ARG_TTY(OWN, AT(guest.tty)),
	GUEST_ARG_ENV(OWN, AT(guest.env)),
	GUEST_ARG_USER("the image's, else root", OWN, AT(guest.user)),
	GUEST_ARG_WORKDIR("the image's, else the user's home", OWN,
			  AT(guest.workdir)),
	{"entrypoint", "PROGRAM", "what runs, with COMMAND as its arguments, "
	 "instead of what the image says", .kind = ARG_TEXT, OWN, AT(entrypoint)},
	{"layer", "FILE", "what the guest writes is kept here, an ext4 or other "
	 "file system, which is its limit (default: in its memory)",
	 .kind = ARG_TEXT, OWN, AT(layer)},
	{"no-warm", NULL, "boot, and keep nothing of it: neither restore a "
	 "guest of this image that has booted already, nor save this one",
	 .kind = ARG_FLAG, OWN, AT(no_warm)},
};
/* clang-format on */

const struct args_page cmd_run_page = {
	.name = "volt run",
	.summary = "run a command of an image in a VM, or a VM by itself",
	.usage = "[OPTIONS] IMAGE [COMMAND [ARGS...]]\n"
		 "[OPTIONS] [-- VOLT-VMM-OPTIONS]",
	.about =
		"With IMAGE, a name of `volt image ls` or the path of a root "
		"file system (./root.img), runs COMMAND, or what the image "
		"says, in a VM of its own, and ends as it does: its output, "
		"errors and exit code are this command's. The image stays as "
		"it is: what the guest writes is in its memory and ends with "
		"it, or is kept in a --layer. The kernel is one that has a name, with vsock and "
		"overlay: Debian's have both. `volt exec` runs more in the "
		"VM.\n"
		"\n"
		"Without IMAGE starts a VM with its console on this terminal; "
		"Ctrl-A x ends it, the end of standard input does not. `volt "
		"ps` and `volt stop` see it, from elsewhere.\n"
		"\n"
		"A kernel that has a name is checked first. With --disk, and "
		"no --initrd, the first disk is its root: the modules that it "
		"needs to get there go into a small initramfs, which is kept. "
		"Without a kernel, a disk and an initrd: the default kernel "
		"and a shell, which `make shell` in Volt's source builds.\n",
	.args = run_args,
	.nr_args = ARRAY_SIZE(run_args),
	.groups = (const char *const[]){"Options", BOUNDS_HEADING,
					"With an image", "In the background",
					NULL},
	.exit = "with IMAGE: " GUEST_EXITS ". Without it volt-vmm's: 0 the "
		"guest ended it; 1 it did not start; 148 and up: "
		"docs/exit-codes.md; 153 bad usage after --, 64 before it.",
	.examples = "  volt image pull debian:12\n"
		    "  volt run debian:12 echo hello\n"
		    "  volt run -it --name box --memory 512M debian:12 sh\n"
		    "  volt run ./root.img echo hello\n"
		    "  volt run --name web --kernel vmlinux --initrd web.cpio "
		    "--memory 512M --cpus 2\n"
		    "  volt run --disk root.img\n"
		    "  systemd-run --user --scope -p Delegate=yes volt run "
		    "--kernel vmlinux \\\n"
		    "      --memory 512M --max-memory 560M --max-cpu 100 "
		    "--console-log web.log\n",
	.rest = ARGS_REST_PASS,
	.command = true,
};

/* Would a Linux kernel run here? Better a sentence now than a silent minute
 * in KVM's emulator. */
static int run_check_host(const struct run *run, struct err *err)
{
	cleanup_free struct doctor_facts *facts = calloc(1, sizeof(*facts));
	cleanup_free struct doctor_report *report = malloc(sizeof(*report));

	if (!run->choice.is_linux)
		return 0;
	if (!facts || !report)
		return err_set(err, -ENOMEM, "Out of memory");
	doctor_collect_kvm(&facts->kvm);
	doctor_judge(facts, report);
	if (report->guests == GUESTS_LINUX)
		return 0;
	if (run->image)
		return err_set(err, -ENOTSUP,
			       "%s `volt doctor` tells why; another host runs "
			       "this image, and so does the lab of Volt's "
			       "source, an emulated one",
			       report->verdict);
	return err_set(err, -ENOTSUP,
		       "%s `volt doctor` tells why; `make shell` in Volt's "
		       "source runs this guest on an emulated host",
		       report->verdict);
}

/* The words for a root behind the command line. */
static int add_root_words(struct run *run, struct err *err)
{
	char net[64];

	if (!run->choice.root[0])
		return 0;
	net_user_cmdline(&run->net, net, sizeof(net));
	if (asprintf(&run->whole_cmdline, "%s%s%s%s%s", run->cmdline,
		     run->choice.root, run->layer ? " volt.layer=/dev/vdb" : "",
		     run->hotplug_mib ? HOTPLUG_WORDS : "", net) < 0) {
		run->whole_cmdline = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	run->cmdline = run->whole_cmdline;
	return 0;
}

/* The --pmem that is the root: "PATH...,root..."; NULL: none. */
static const char *run_pmem_root(const struct run *run)
{
	for (unsigned int i = 0; i < run->pmems.nr; i++)
		if (kernel_disk_says(run->pmems.text[i], "root"))
			return run->pmems.text[i];
	return NULL;
}

static int fill_defaults(struct run *run, struct err *err)
{
	const char *pmem_root = run->image ? NULL : run_pmem_root(run);
	const struct kernel_need need = {
		.word = run->kernel,
		.cmdline = run->cmdline,
		.disk = run->found.disk     ? run->found.disk
			: pmem_root         ? pmem_root
			: run->disks.nr > 0 ? run->disks.text[0]
					    : NULL,
		.pmem_root = pmem_root && !run->found.disk,
		.has_initrd = run->initrd != NULL,
		.net = run->nets.nr > 0 || run->net.on,
		.vsock = run->vsock || run->image,
		.pmem = run->pmems.nr > 0,
		.hotplug = run->hotplug_mib > 0,
		.image = run->image != NULL,
	};
	bool rootless = !need.disk && !need.has_initrd;
	int r = kernel_choose(&need, &run->choice, err);

	if (r == -ENOENT && !run->kernel)
		r = err_set(err, r, NO_KERNEL);
	if (r == 0 && !run->image)
		r = run_check_host(run, err);
	if (r == 0 && !run->kernel && rootless &&
	    cache_find_initrd(run->default_initrd, NULL) < 0)
		r = err_set(err, -EINVAL,
			    "The kernel has no root: give it a --disk or an "
			    "--initrd");
	if (r < 0)
		return r;
	if (!run->cmdline)
		run->cmdline = run->image                 ? CMDLINE_IMAGE
			       : !run->kernel && rootless ? CMDLINE_SHELL
							  : CMDLINE;
	if (!run->initrd)
		run->initrd = run->choice.initrd       ? run->choice.initrd
			      : run->default_initrd[0] ? run->default_initrd
						       : NULL;
	run->kernel = run->choice.kernel;
	return add_root_words(run, err);
}

/* A value that became another one takes the place of what was given. */
static void run_pass(struct run *run, const char *name, const char *value)
{
	struct args *all = &run->args;

	for (unsigned int i = 0; i < all->nr_given; i++) {
		if (strcmp(all->given[i].arg->name, name) == 0) {
			all->given[i].text = value;
			return;
		}
	}
	if (value)
		launch_add(&run->launch, name, value);
}

/* What was given goes on as it was given. */
static int build_args(struct run *run, struct err *err)
{
	struct launch *l = &run->launch;
	bool named = run->choice.stored;

	run_pass(run, "kernel", run->kernel);
	run_pass(run, "initrd", run->initrd);
	run_pass(run, "cmdline", run->cmdline);
	launch_add_given(l, &run->args, LAUNCH_ALL);
	if (named && !run->memory_mib)
		launch_add(l, "memory", "256");
	return launch_add_rest(l, run->args.rest, err);
}

/* The last that can fail before the VM is there. */
static int run_add_net(struct run *run, struct err *err)
{
	int r = net_user_start(&run->net, &run->args, err);

	if (r == 0 && run->net.on && !args_has(&run->args, "net"))
		launch_add(&run->launch, "net", run->net.word.data);
	return r;
}

/* What says nothing without an image, or with one. Return: CLI_GO_ON, or an
 * exit code. */
static int run_check_image(const struct args_page *page, struct run *run)
{
	const struct args *args = &run->args;

	run->image = args->command[0];
	for (unsigned int i = 0; !run->image && i < args->nr_given; i++)
		if (args->given[i].arg->group == LAUNCH_GROUP_OWN &&
		    strcmp(args->given[i].arg->name, "publish") != 0)
			return cli_misuse(page, "--%s is of an IMAGE",
					  args->given[i].arg->name);
	if (!run->image)
		return CLI_GO_ON;
	if (run->initrd || run->vsock)
		return cli_misuse(page, "--%s does not go with an IMAGE",
				  run->initrd ? "initrd" : "vsock");
	return guest_check(&run->guest, page);
}

/* What the record of a VM in the background says. Return: CLI_GO_ON in the
 * holder, or an exit code. */
static int run_go_back(const struct args_page *page, struct run *run)
{
	const struct oci_config *config = &run->found.image.config;
	const bool stored = run->found.is_stored;
	struct background_ask ask = {
		.name = run->launch.name,
		.image = run->image,
		.words = run->found.words,
		.ports = stored ? config->ports.word : NULL,
		.stop_signal = SIGTERM,
		.remove = run->remove,
		.terminal = run->guest.tty,
	};
	int code;

	if (stored && config->stop_signal[0])
		ask.stop_signal = signal_by_name(config->stop_signal);
	if (ask.stop_signal == 0)
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "the image's stop signal %s is none",
				    config->stop_signal);
	code = background_begin(&run->background, &ask, &run->launch);
	return code == CLI_GO_ON ? background_fork(&run->background)
				 : background_end(&run->background, code);
}

/* What a guest has that is not of its image alone, no other may go on with. */
static bool run_may_be_warm(const struct run *run)
{
	return !run->no_warm && !run->layer && run->nets.nr == 0 &&
	       run->disks.nr == 0 && run->pmems.nr == 0 && !run->args.rest[0];
}

static int run_image_start(const struct args_page *page, struct run *run)
{
	struct run_image *way = &run->way;
	struct err err;
	int code = CLI_GO_ON;

	if (image_choose(&run->found, run->image, run->entrypoint,
			 run->args.command + 1, &run->guest, page, &err) < 0 ||
	    fill_defaults(run, &err) < 0 ||
	    launch_begin(&run->launch, run->name, &err) < 0)
		return cli_fail(GUEST_EXIT_FAILED, page, &err);
	launch_add(&run->launch, "disk", run->found.disk);
	if (run->layer)
		launch_add(&run->launch, "disk", run->layer);
	way->launch = &run->launch;
	way->bounds = &run->bounds;
	way->net = &run->net;
	run_image_prepare(way);
	if (run_add_net(run, &err) < 0 || build_args(run, &err) < 0)
		return cli_fail(GUEST_EXIT_FAILED, page, &err);
	way->options = run->guest;
	way->words = run->found.words;
	way->background = run->detach ? &run->background : NULL;
	/* A guest that has booted here tells more than a look at the host. */
	if ((run_may_be_warm(run) &&
	     run_image_find_warm(way, &run->args, &err) < 0) ||
	    (!way->warm.is_there && run_check_host(run, &err) < 0))
		return cli_fail(GUEST_EXIT_FAILED, page, &err);
	if (run->detach)
		code = run_go_back(page, run);
	if (code != CLI_GO_ON)
		return code;
	code = run_image_go(way, page);
	return run->detach ? background_end(&run->background, code) : code;
}

static int run_start(const struct args_page *page, struct run *run)
{
	struct err err;
	int code;

	if (fill_defaults(run, &err) < 0 ||
	    launch_begin(&run->launch, run->name, &err) < 0 ||
	    run_add_net(run, &err) < 0 || build_args(run, &err) < 0)
		return cli_fail(1, page, &err);
	if (!run->detach)
		return launch_exec(&run->launch, &run->bounds, page);
	code = run_go_back(page, run);
	if (code != CLI_GO_ON)
		return code;
	return background_end(
		&run->background,
		background_vm(&run->background, &run->launch, &run->bounds));
}

int cmd_run(const struct args_page *page, int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	struct err err;
	int code;

	if (!run)
		return cli_complain(1, page, "out of memory");
	background_init(&run->background, page);
	run->net.fd = -1;
	code = cli_parse(page, argc, argv, 0, run, &run->args);
	if (code == CLI_GO_ON && run->name &&
	    vmapi_check_name(run->name, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON && bounds_check(&run->bounds, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON)
		code = run_check_image(page, run);
	if (code == CLI_GO_ON &&
	    net_user_parse(&run->net, &run->nets, &run->publish,
			   run->image != NULL, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON)
		code = run->image ? run_image_start(page, run)
				  : run_start(page, run);
	run_image_free(&run->way);
	launch_free(&run->launch);
	kernel_choice_free(&run->choice);
	free(run->whole_cmdline);
	image_choice_free(&run->found);
	net_user_free(&run->net);
	free(run);
	return code;
}
