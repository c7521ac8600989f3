// SPDX-License-Identifier: Apache-2.0
/*
 * options.c - the command line of volt-vmm
 *
 * The table is vmm/page.c, the grammar that of base/args.h. What Firecracker
 * takes means the same here, and what it refuses for a client's mistake is
 * refused in its words.
 */
#include "vmm/options.h"

#include "api/api.h"
#include "config/pmem.h"
#include "config/words.h"
#include "vmm/page.h"

#include <errno.h>
#include <stdio.h>

/* One of Firecracker's sentences; @plain is for a person. */
static int clash(struct err *err, const char *one, const char *other)
{
	err_set(err, -EINVAL,
		"Argument '%s' cannot be used together with argument '%s'.",
		one, other);
	err_plain(err, "--%s does not go with --%s", one, other);
	return -EINVAL;
}

static int options_missing(struct err *err, const char *what,
			   const char *for_what)
{
	err_set(err, -EINVAL, "Argument '%s' required, but not found.", what);
	err_plain(err, "--%s needs --%s", for_what, what);
	return -EINVAL;
}

/* What starts a VM, or asks one: one of them at most, *@source. */
static int options_check_source(const struct options *opts, const char **source,
				struct err *err)
{
	const struct {
		const char *name;
		const char *given;
	} sources[] = {
		{"restore", opts->restore},
		{"kernel", opts->kernel},
		{"config-file", opts->config_file},
		{"snapshot", opts->snapshot},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (sources[i].given && *source)
			return clash(err, *source, sources[i].name);
		if (sources[i].given)
			*source = sources[i].name;
	}
	return 0;
}

static int options_check_rules(const struct options *opts, struct err *err)
{
	const char *source = NULL;
	int r = options_check_source(opts, &source, err);

	if (r < 0)
		return r;
	/* With --config-file --no-api wins, as in Firecracker. */
	if (opts->no_api && opts->api_sock && (opts->kernel || opts->restore))
		return clash(err, "no-api", "api-sock");
	if (opts->no_api && (opts->paused || opts->snapshot))
		return clash(err, "no-api",
			     opts->paused ? "paused" : "snapshot");
	if ((opts->snapshot || opts->paused) && !opts->api_sock)
		return options_missing(err, "api-sock",
				       opts->paused ? "paused" : "snapshot");
	/* A direct kernel is all that --no-api needs as well. */
	if (opts->no_api && !opts->config_file && !opts->kernel &&
	    !opts->restore)
		return options_missing(err, "config-file", "no-api");
	/* A socket that is bound before could not be removed. */
	if (opts->sandbox_first && (source || opts->vsock))
		return clash(err, "sandbox-first", source ? source : "vsock");
	if (!opts->kernel && (opts->initrd || opts->cmdline))
		return options_missing(err, "kernel",
				       opts->initrd ? "initrd" : "cmdline");
	return vm_config_check_id(opts->id, err);
}

/* Is @word option --@name, cut short to @least letters at most? */
static bool is_option(const char *word, const char *name, size_t least)
{
	size_t len = strncmp(word, "--", 2) == 0 ? strcspn(word + 2, "=") : 0;

	return len >= least && len <= strlen(name) &&
	       strncmp(word + 2, name, len) == 0;
}

bool options_for_person(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_option(argv[i], "kernel", 1) ||
		    is_option(argv[i], "restore", 1) ||
		    is_option(argv[i], "snapshot", strlen("snapshot")))
			return true;
	return false;
}

int options_parse(struct options *opts, int argc, char **argv, struct err *err)
{
	struct args args;
	int r;

	*opts = (struct options){
		.id = OPTIONS_ID_DEFAULT,
		.payload_max = CONFIG_PAYLOAD_DEFAULT,
	};
	r = args_parse(&vmm_page, argc, argv, opts, &args, err);
	if (args.help) {
		opts->action = OPTIONS_HELP;
		return 0;
	}
	if (opts->version || args_asks_for(argc, argv, "--version")) {
		opts->action = OPTIONS_VERSION;
		return 0;
	}
	if (r == 0)
		r = options_check_rules(opts, err);
	if (r < 0) {
		err_prefix_api(err, "Arguments parsing error: ");
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

int options_print_help(void)
{
	cleanup_buf struct buf text = {0};

	args_help(&vmm_page, &text);
	if (text.failed)
		return -ENOMEM;
	(void)fwrite(text.data, 1, text.len, stdout);
	return 0;
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

static int open_image(const struct vm_config *config, enum path_role role,
		      const char *path, int *to, struct err *err)
{
	int fd = path_open(config->opener, role, path, err);

	if (fd < 0)
		return err_only_plain(err);
	fd_close(to);
	*to = fd;
	return 0;
}

static int apply_kernel(const struct options *opts, struct vm_config *config,
			struct err *err)
{
	struct boot_source_config *boot = &config->boot_source;
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
	r = open_image(config, PATH_KERNEL, opts->kernel, &boot->kernel_fd,
		       err);
	if (r == 0 && opts->initrd)
		r = open_image(config, PATH_INITRD, opts->initrd,
			       &boot->initrd_fd, err);
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
	config->nested = opts->nested;
	if (opts->cpus) {
		config->machine.vcpu_count = (uint8_t)opts->cpus;
		config->machine.present = true;
	}
	if (opts->memory_mib) {
		config->machine.mem_size_mib = opts->memory_mib;
		config->machine.present = true;
	}
	if (opts->track_dirty_pages) {
		config->machine.track_dirty_pages = true;
		config->machine.dirty_ring = opts->dirty_ring;
		config->machine.present = true;
	}
	for (unsigned int i = 0; i < opts->pmems.nr && r == 0; i++)
		r = config_pmem_set(opts->pmems.text[i], i, config, err);
	for (unsigned int i = 0; i < opts->disks.nr && r == 0; i++)
		r = config_disk_set(opts->disks.text[i], i,
				    i == 0 && opts->kernel && !opts->initrd &&
					    !pmems_have_root(config),
				    config, err);
	for (unsigned int i = 0; i < opts->nets.nr && r == 0; i++)
		r = config_net_set(opts->nets.text[i], i, config, err);
	if (r == 0 && opts->hotplug_mib)
		r = memory_hotplug_set(opts->hotplug_mib, config, err);
	if (r == 0 && opts->vsock)
		r = config_vsock_set(opts->vsock, config, err);
	if (r == 0 && opts->kernel)
		r = apply_kernel(opts, config, err);
	return r;
}
