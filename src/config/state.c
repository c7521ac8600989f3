// SPDX-License-Identifier: Apache-2.0
/*
 * state.c - the configuration in a snapshot (state.h)
 */
#include "config/state.h"

#include "base/fd.h"
#include "config/drives.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/**
 * struct config_state - a configuration whose lists are schema's
 */
struct config_state {
	struct vm_config config;
	struct schema_list drives;
	struct schema_list nets;
};

/* clang-format off */
#define NAME(name_, value_) {name_, value_}
#define ENUM(table) \
	static const struct schema_enum table = SCHEMA_NAMES(table##_names)

static const struct schema_name huge_names[] = {
	NAME("None", HUGE_PAGES_NONE),
	NAME("Transparent", HUGE_PAGES_TRANSPARENT),
	NAME("2M", HUGE_PAGES_2M),
};
ENUM(huge);
static const struct schema_name template_names[] = {
	NAME("unset", CPU_TEMPLATE_UNSET), NAME("None", CPU_TEMPLATE_NONE),
	NAME("C3", CPU_TEMPLATE_C3), NAME("T2", CPU_TEMPLATE_T2),
	NAME("T2S", CPU_TEMPLATE_T2S), NAME("T2CL", CPU_TEMPLATE_T2CL),
	NAME("T2A", CPU_TEMPLATE_T2A),
};
ENUM(template);
static const struct schema_name irqchip_names[] = {
	NAME("split", IRQCHIP_SPLIT), NAME("full", IRQCHIP_FULL),
};
ENUM(irqchip);
static const struct schema_name cache_names[] = {
	NAME("Unsafe", CACHE_UNSAFE), NAME("Writeback", CACHE_WRITEBACK),
};
ENUM(cache);
static const struct schema_name engine_names[] = {
	NAME("Sync", IO_ENGINE_SYNC), NAME("Async", IO_ENGINE_ASYNC),
};
ENUM(engine);

#define CHOICE(name_, type_, member, table) \
	{ SCHEMA_STATE(name_, SCHEMA_ENUM, type_, member), .names = &(table) }
#define BOOL(name_, type_, member) \
	{ SCHEMA_STATE(name_, SCHEMA_BOOL, type_, member) }
#define TEXT(name_, type_, member) \
	{ SCHEMA_STATE(name_, SCHEMA_STRING, type_, member) }
/* A string that may be absent, and then is null. */
#define MAYBE(name_, type_, member) \
	{ .name = (name_), .type = SCHEMA_STRING, .flags = SCHEMA_NULL, \
	  SCHEMA_AT(type_, member) }
#define PART(name_, type_, member, object_) \
	{ .name = (name_), .type = SCHEMA_OBJECT, \
	  .flags = SCHEMA_NULL | SCHEMA_HAS, SCHEMA_AT(type_, member), \
	  .has = offsetof(type_, member.present), .object = &(object_) }
#define OBJECT(name_, type_) \
	static const struct schema_object name_ = \
		SCHEMA_STATE_OF(type_, name_##_fields)

static const struct schema_field bucket_fields[] = {
	SCHEMA_STATE_UINT(struct token_bucket_config, size),
	SCHEMA_STATE_UINT(struct token_bucket_config, refill_time),
	SCHEMA_STATE_UINT(struct token_bucket_config, one_time_burst),
	SCHEMA_STATE_BOOL(struct token_bucket_config, has_one_time_burst),
};
OBJECT(bucket, struct token_bucket_config);

static const struct schema_field limiter_fields[] = {
	PART("bandwidth", struct rate_limiter_config, bandwidth, bucket),
	PART("ops", struct rate_limiter_config, ops, bucket),
};
OBJECT(limiter, struct rate_limiter_config);

static const struct schema_field drive_fields[] = {
	TEXT("drive_id", struct drive_config, drive_id),
	BOOL("is_root_device", struct drive_config, is_root_device),
	BOOL("has_is_read_only", struct drive_config, has_is_read_only),
	BOOL("is_read_only", struct drive_config, is_read_only),
	BOOL("has_cache_type", struct drive_config, has_cache_type),
	CHOICE("cache_type", struct drive_config, cache_type, cache),
	BOOL("has_io_engine", struct drive_config, has_io_engine),
	CHOICE("io_engine", struct drive_config, io_engine, engine),
	MAYBE("partuuid", struct drive_config, partuuid),
	TEXT("path_on_host", struct drive_config, path_on_host),
	PART("rate_limiter", struct drive_config, rate_limiter, limiter),
	{ .name = "discard", .type = SCHEMA_BOOL,
	  .flags = SCHEMA_NULL | SCHEMA_HAS | SCHEMA_OMIT,
	  SCHEMA_AT(struct drive_config, discard),
	  .has = offsetof(struct drive_config, has_discard) },
};
OBJECT(drive, struct drive_config);

static const struct schema_field net_fields[] = {
	TEXT("iface_id", struct net_config, iface_id),
	TEXT("host_dev_name", struct net_config, host_dev_name),
	BOOL("has_mac", struct net_config, has_mac),
	SCHEMA_STATE_HEX(struct net_config, guest_mac),
	BOOL("has_mtu", struct net_config, has_mtu),
	SCHEMA_STATE_UINT(struct net_config, mtu),
	BOOL("vhost", struct net_config, vhost),
	PART("rx_rate_limiter", struct net_config, rx_rate_limiter, limiter),
	PART("tx_rate_limiter", struct net_config, tx_rate_limiter, limiter),
};
OBJECT(net, struct net_config);

static const struct schema_field vsock_fields[] = {
	SCHEMA_STATE_UINT(struct vsock_config, guest_cid),
	TEXT("uds_path", struct vsock_config, uds_path),
};
OBJECT(vsock, struct vsock_config);

static const struct schema_field entropy_fields[] = {
	PART("rate_limiter", struct entropy_config, rate_limiter, limiter),
};
OBJECT(entropy, struct entropy_config);

static const struct schema_field balloon_fields[] = {
	SCHEMA_STATE_UINT(struct balloon_config, amount_mib),
	SCHEMA_STATE_BOOL(struct balloon_config, deflate_on_oom),
	SCHEMA_STATE_UINT(struct balloon_config, stats_polling_interval_s),
	SCHEMA_STATE_BOOL(struct balloon_config, free_page_hinting),
	SCHEMA_STATE_BOOL(struct balloon_config, free_page_reporting),
};
OBJECT(balloon, struct balloon_config);

static const struct schema_field machine_fields[] = {
	SCHEMA_STATE_UINT(struct machine_config, vcpu_count),
	SCHEMA_STATE_UINT(struct machine_config, mem_size_mib),
	SCHEMA_STATE_BOOL(struct machine_config, smt),
	SCHEMA_STATE_BOOL(struct machine_config, track_dirty_pages),
	CHOICE("huge_pages", struct machine_config, huge_pages, huge),
	CHOICE("cpu_template", struct machine_config, cpu_template, template),
};
OBJECT(machine, struct machine_config);

static const struct schema_field boot_fields[] = {
	MAYBE("kernel_image_path", struct boot_source_config,
	      kernel_image_path),
	MAYBE("initrd_path", struct boot_source_config, initrd_path),
	MAYBE("boot_args", struct boot_source_config, boot_args),
};
OBJECT(boot, struct boot_source_config);

static const struct schema_field serial_fields[] = {
	MAYBE("serial_out_path", struct serial_config, serial_out_path),
	PART("rate_limiter", struct serial_config, rate_limiter, bucket),
};
OBJECT(serial, struct serial_config);

static const struct schema_field a_drive = {
	.type = SCHEMA_OBJECT, .object = &drive,
};
static const struct schema_item drive_item = {
	&a_drive, sizeof(struct drive_config),
};
static const struct schema_field a_net = {
	.type = SCHEMA_OBJECT, .object = &net,
};
static const struct schema_item net_item = {
	&a_net, sizeof(struct net_config),
};

static const struct schema_field fields[] = {
	{ SCHEMA_STATE("machine", SCHEMA_OBJECT, struct config_state, config.machine),
	  .object = &machine },
	PART("boot_source", struct config_state, config.boot_source, boot),
	PART("serial", struct config_state, config.serial, serial),
	CHOICE("irqchip", struct config_state, config.irqchip, irqchip),
	BOOL("boot_timer", struct config_state, config.boot_timer),
	{ SCHEMA_STATE("drives", SCHEMA_LIST, struct config_state, drives),
	  .item = &drive_item },
	{ SCHEMA_STATE("nets", SCHEMA_LIST, struct config_state, nets),
	  .item = &net_item },
	PART("vsock", struct config_state, config.vsock, vsock),
	PART("entropy", struct config_state, config.entropy, entropy),
	PART("balloon", struct config_state, config.balloon, balloon),
};
/* clang-format on */

static const struct schema_object schema =
	SCHEMA_STATE_OF(struct config_state, fields);

/* Copies of the drives, of which only the paths are owned: absolute ones, for
 * who restores works in another directory. Where this process's own is gone
 * they stay as they are. */
static struct drive_config *drives_from_anywhere(const struct vm_config *config)
{
	const char *here = config->folder;
	struct drive_config *drives =
		calloc(config->nr_drives + 1, sizeof(*drives));

	for (size_t i = 0; drives && i < config->nr_drives; i++) {
		const char *path = config->drives[i].path_on_host;
		bool whole = !here || path[0] == '/';

		drives[i] = config->drives[i];
		if (asprintf(&drives[i].path_on_host, "%s%s%s",
			     whole ? "" : here, whole ? "" : "/", path) < 0)
			drives[i].path_on_host = NULL;
	}
	return drives;
}

void config_state_encode(const struct vm_config *config, struct buf *out)
{
	struct drive_config *drives = drives_from_anywhere(config);
	const struct config_state state = {
		.config = *config,
		.drives = {config->nr_drives, drives},
		.nets = {config->nr_nets, config->nets},
	};

	out->failed = out->failed || !drives;
	for (size_t i = 0; drives && i < config->nr_drives; i++)
		out->failed = out->failed || !drives[i].path_on_host;
	if (!out->failed)
		schema_encode(&schema, &state, out);
	for (size_t i = 0; drives && i < config->nr_drives; i++)
		free(drives[i].path_on_host);
	free(drives);
}

static int replace_text(char **to, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(err, -ENOMEM, "Out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static int override_nets(struct config_state *s,
			 const struct config_overrides *o, struct err *err)
{
	struct net_config *nets = s->nets.items;
	int r = 0;

	for (size_t i = 0; i < o->nr_nets && r == 0; i++) {
		size_t k = 0;

		while (k < s->nets.nr &&
		       strcmp(nets[k].iface_id, o->nets[i].id) != 0)
			k++;
		if (k == s->nets.nr)
			return err_set(err, -ENODEV, "Unknown Network Device.");
		r = replace_text(&nets[k].host_dev_name, o->nets[i].to, err);
	}
	return r;
}

static int unknown_drive(const struct config_state *s, const char *id,
			 struct err *err)
{
	const struct drive_config *drives = s->drives.items;
	cleanup_buf struct buf names = {0};

	for (size_t i = 0; i < s->drives.nr; i++)
		buf_addf(&names, " %s", drives[i].drive_id);
	buf_add(&names, "", 1);
	return err_set(
		err, -ENODEV, "Unknown Drive %s; those of the snapshot:%s", id,
		s->drives.nr > 0 && !names.failed ? names.data : " none");
}

static const struct config_override *
find_override(const struct config_overrides *o, const char *id)
{
	for (size_t i = 0; i < o->nr_drives; i++)
		if (strcmp(o->drives[i].id, id) == 0)
			return &o->drives[i];
	return NULL;
}

/* The guest goes on in the middle of its file system: what is no disk at all
 * is a mistake. */
static int check_override(const struct drive_config *d,
			  const struct config_overrides *overrides,
			  struct err *err)
{
	const struct config_override *o = find_override(overrides, d->drive_id);
	struct stat st;

	if (!o || fd_stat(d->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_size > 0 && st.st_size % DRIVE_SECTOR_BYTES == 0))
		return 0;
	if (st.st_size == 0)
		return err_set(err, -EINVAL,
			       "The file %s for drive %s is empty: it needs a "
			       "copy of the drive as it was saved",
			       o->to, o->id);
	return err_set(err, -EINVAL,
		       "The file %s for drive %s has %lld bytes, which is no "
		       "multiple of %u: it needs a copy of the drive as it was "
		       "saved",
		       o->to, o->id, (long long)st.st_size, DRIVE_SECTOR_BYTES);
}

static int override_drives(struct config_state *s,
			   const struct config_overrides *o, struct err *err)
{
	struct drive_config *drives = s->drives.items;
	int r = 0;

	for (size_t i = 0; i < o->nr_drives && r == 0; i++) {
		size_t k = 0;

		while (k < s->drives.nr &&
		       strcmp(drives[k].drive_id, o->drives[i].id) != 0)
			k++;
		if (k == s->drives.nr)
			return unknown_drive(s, o->drives[i].id, err);
		r = replace_text(&drives[k].path_on_host, o->drives[i].to, err);
	}
	return r;
}

static int override(struct config_state *s, const struct config_overrides *o,
		    struct err *err)
{
	int r = override_nets(s, o, err);

	if (r == 0)
		r = override_drives(s, o, err);
	if (r < 0 || !o->vsock_uds_path)
		return r;
	if (!s->config.vsock.present)
		return err_set(err, -ENODEV, "Unknown Vsock Device");
	return replace_text(&s->config.vsock.uds_path, o->vsock_uds_path, err);
}

/* The API's sentence stays. */
static int open_failed(const struct drive_config *d, struct err *err)
{
	char why[ERR_PLAIN_MAX];

	if (!err)
		return 0;
	(void)snprintf(why, sizeof(why), "%s", err_for_person(err));
	return err_plain(err, "drive %s: %s; --disk %s=PATH names another",
			 d->drive_id, why, d->drive_id);
}

static int open_drives(struct config_state *s, struct vm_config *to,
		       const struct config_overrides *overrides,
		       struct err *err)
{
	struct drive_config *drives = s->drives.items;

	for (size_t i = 0; i < s->drives.nr; i++) {
		struct drive_config *d = &drives[i];
		int r;

		d->lock_fd = -1;
		d->fd = drive_open(to, d->path_on_host, d->is_read_only,
				   (unsigned int)i, err);
		if (d->fd < 0) {
			(void)open_failed(d, err);
			return d->fd;
		}
		r = check_override(d, overrides, err);
		if (r == 0)
			r = drive_lock(to, d, NULL, err);
		if (r == 0) {
			r = drives_set(to, d);
			if (r < 0)
				(void)err_set(err, r, "Drive %s: %s",
					      d->drive_id, err_name(r));
		}
		if (r < 0) {
			drive_unlock(d, NULL);
			return r;
		}
	}
	return 0;
}

static int open_nets(struct config_state *s, struct vm_config *to,
		     struct err *err)
{
	struct net_config *nets = s->nets.items;
	int r = 0;

	for (size_t i = 0; i < s->nets.nr && r == 0; i++)
		r = vm_config_put_net(to, &nets[i], (unsigned int)i, err);
	return r;
}

/* The console of this VM, when it was told one, is not the saved VM's. */
static void take_serial(const struct vm_config *from, struct vm_config *to)
{
	if (to->serial.present)
		free(from->serial.serial_out_path);
	else
		to->serial = from->serial;
}

/* What is only values. */
static void take_values(struct config_state *s, struct vm_config *to)
{
	struct vm_config *c = &s->config;

	to->machine = c->machine;
	to->machine.present = true;
	to->boot_source = c->boot_source;
	take_serial(c, to);
	to->irqchip = c->irqchip;
	to->boot_timer = c->boot_timer;
	to->entropy = c->entropy;
	to->balloon = c->balloon;
	to->vsock = c->vsock;
	to->boot_source.kernel_fd = -1;
	to->boot_source.initrd_fd = -1;
	to->vsock.fd = -1;
	/* The strings have changed hands. */
	memset(c, 0, sizeof(*c));
}

/* What was read makes sense. */
static int check(const struct vm_config *c, struct err *err)
{
	if (c->machine.vcpu_count < 1 ||
	    c->machine.vcpu_count > CONFIG_VCPUS_MAX)
		return err_set(err, -EINVAL, "%u vCPUs are not possible",
			       c->machine.vcpu_count);
	/* Their numbers of pages are products that must not overflow. */
	if (c->balloon.present &&
	    c->balloon.amount_mib > c->machine.mem_size_mib)
		return err_set(err, -EINVAL,
			       "A balloon of %u MiB is larger than the memory",
			       c->balloon.amount_mib);
	return 0;
}

int config_state_read(struct config_state **state, struct vm_config *config,
		      const struct schema_raw *text,
		      const struct config_overrides *overrides, struct err *err)
{
	struct config_state *s = calloc(1, sizeof(*s));
	struct schema_seen seen;
	int r;

	*state = s;
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	r = schema_decode_text(&schema, text->text, text->len, s, &seen, err);
	if (r == 0)
		r = check(&s->config, err);
	if (r == 0)
		r = override(s, overrides, err);
	if (r == 0)
		take_values(s, config);
	return r;
}

int config_state_open(struct config_state *state, struct vm_config *config,
		      const struct config_overrides *overrides, struct err *err)
{
	int r = open_drives(state, config, overrides, err);

	if (r == 0)
		r = open_nets(state, config, err);
	if (r == 0 && config->vsock.present)
		r = vsock_config_bind(config->opener, &config->vsock, err);
	return r;
}

void config_state_free(struct config_state *state)
{
	if (!state)
		return;
	schema_free(&schema, state);
	free(state);
}
