// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - the machine, put together (theory of operation: machine.h)
 */
#include "vm/machine.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/pages.h"
#include "config/drives.h"
#include "host/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the guest can do to the VM ---- */

static void guest_reset(void *ctx)
{
	struct chipset *c = ctx;

	log_info("The guest asked for a reset");
	env_end(&c->board->env, VM_END_ASKED);
}

static void guest_poweroff(void *ctx)
{
	struct chipset *c = ctx;

	log_info("The guest powered off");
	env_end(&c->board->env, VM_END_ASKED);
}

static void person_left(void *ctx)
{
	struct chipset *c = ctx;

	env_end(&c->board->env, VM_END_ASKED);
}

static void first_output(void *ctx)
{
	struct chipset *c = ctx;

	env_mark(&c->board->env, TIMELINE_FIRST_OUTPUT);
}

static void boot_timer_fired(void *ctx)
{
	struct chipset *c = ctx;

	env_mark(&c->board->env, TIMELINE_BOOT_TIMER);
}

/* ---- the list of devices ---- */

static int add_ioapic(struct chipset *c, struct err *err)
{
	const struct msi_sink sink = interrupts_sink(c->interrupts);

	(void)err;
	if (!c->board->kvm_vm.split)
		return 0;
	ioapic_init(&c->interrupts->ioapic, &sink);
	return bus_add(&c->board->mmio, LAYOUT_IOAPIC, LAYOUT_IOAPIC_BYTES,
		       &ioapic_bus_ops, &c->interrupts->ioapic);
}

static int add_i8042(struct chipset *c, struct err *err)
{
	const struct irq_line irq =
		interrupts_line(c->interrupts, LAYOUT_GSI_I8042);
	int r;

	(void)err;
	i8042_init(&c->i8042, &irq, guest_reset, c);
	r = metrics_add(c->board->env.metrics, &i8042_metric_group, NULL,
			&c->i8042.metrics);
	if (r < 0)
		return r;
	r = bus_add(&c->board->pio, LAYOUT_I8042_DATA, 1, &i8042_data_ops,
		    &c->i8042);
	if (r < 0)
		return r;
	return bus_add(&c->board->pio, LAYOUT_I8042_CMD, 1, &i8042_command_ops,
		       &c->i8042);
}

static int open_output(struct chipset *c, struct sink *out, struct err *err)
{
	const struct vm_config *config = c->board->env.config;

	if (config->serial.serial_out_path)
		return stream_open(config->opener, PATH_SERIAL,
				   config->serial.serial_out_path, out, err);
	stream_borrow(config->opener, STDOUT_FILENO, out);
	return 0;
}

static int add_serial(struct chipset *c, struct err *err)
{
	const struct serial_config *config = &c->board->env.config->serial;
	const struct token_bucket_config *limit = &config->rate_limiter;
	const struct irq_line irq =
		interrupts_line(c->interrupts, LAYOUT_GSI_SERIAL);
	struct console_params params = {
		.out = SINK_CLOSED,
		.terminal = c->board->env.terminal,
		.use_stdin = true,
		.callbacks =
			{
				.escape = person_left,
				.output = first_output,
				.ctx = c,
			},
	};
	int r;

	serial_init(&c->serial, &irq);
	if (limit->present)
		serial_set_limit(&c->serial, limit->size, limit->one_time_burst,
				 limit->refill_time);
	r = open_output(c, &params.out, err);
	if (r < 0)
		return r;
	r = console_new(&c->console, c->board->env.loop, &c->serial, &params,
			err);
	if (r < 0)
		return r;
	r = metrics_add(c->board->env.metrics, &serial_metric_group, NULL,
			&c->serial.metrics);
	if (r < 0)
		return r;
	return bus_add(&c->board->pio, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_BYTES,
		       &serial_bus_ops, &c->serial);
}

static int add_rtc(struct chipset *c, struct err *err)
{
	(void)err;
	rtc_init(&c->rtc);
	return bus_add(&c->board->pio, LAYOUT_RTC_PORT, LAYOUT_RTC_BYTES,
		       &rtc_bus_ops, &c->rtc);
}

static int add_acpi_pm(struct chipset *c, struct err *err)
{
	(void)err;
	c->acpi_pm = (struct acpi_pm){
		.sleep_control_off = LAYOUT_ACPI_SLEEP_CTL - LAYOUT_ACPI_PORT,
		.reset_off = LAYOUT_ACPI_RESET - LAYOUT_ACPI_PORT,
		.reset_value = LAYOUT_ACPI_RESET_VALUE,
		.s5 = LAYOUT_ACPI_SLP_EN |
		      LAYOUT_ACPI_S5_TYPE << LAYOUT_ACPI_SLP_TYPE_SHIFT,
		.reset = guest_reset,
		.poweroff = guest_poweroff,
		.ctx = c,
	};
	return bus_add(&c->board->pio, LAYOUT_ACPI_PORT, LAYOUT_ACPI_PORT_BYTES,
		       &acpi_pm_bus_ops, &c->acpi_pm);
}

static int add_vmgenid(struct chipset *c, struct err *err)
{
	const struct irq_line irq =
		interrupts_line(c->interrupts, LAYOUT_GSI_GENID);

	return vmgenid_init(&c->vmgenid, &c->board->mem, LAYOUT_GENID, &irq,
			    err);
}

static int add_boot_timer(struct chipset *c, struct err *err)
{
	(void)err;
	if (!c->board->env.config->boot_timer)
		return 0;
	boot_timer_init(&c->boot_timer, boot_timer_fired, c);
	return bus_add(&c->board->mmio, LAYOUT_BOOT_TIMER, PAGE_SIZE,
		       &boot_timer_bus_ops, &c->boot_timer);
}

static void free_ioapic(struct chipset *c)
{
	ioapic_free(&c->interrupts->ioapic);
}

static void free_i8042(struct chipset *c)
{
	metrics_remove(c->board->env.metrics, &c->i8042.metrics);
	i8042_free(&c->i8042);
}

static void free_serial(struct chipset *c)
{
	metrics_remove(c->board->env.metrics, &c->serial.metrics);
	console_free(&c->console);
	serial_free(&c->serial);
}

static void free_rtc(struct chipset *c)
{
	rtc_free(&c->rtc);
}

static int add_virtio(struct chipset *c, struct err *err)
{
	return virtio_add_devices(c->slots, err);
}

static void free_virtio(struct chipset *c)
{
	virtio_free_devices(c->slots);
}

/* ---- their state in a snapshot ---- */

static int decode(const struct schema_object *schema,
		  const struct schema_raw *text, void *state, struct err *err)
{
	struct schema_seen seen;

	return schema_decode_text(schema, text->text, text->len, state, &seen,
				  err);
}

static void save_ioapic(struct chipset *c, struct buf *out)
{
	struct ioapic_state state = {0};

	ioapic_save(&c->interrupts->ioapic, &state);
	schema_encode(&ioapic_state_schema, &state, out);
}

static int load_ioapic(struct chipset *c, const struct schema_raw *text,
		       struct err *err)
{
	struct ioapic_state state = {0};
	int r = decode(&ioapic_state_schema, text, &state, err);

	return r < 0 ? r : ioapic_load(&c->interrupts->ioapic, &state, err);
}

static void save_i8042(struct chipset *c, struct buf *out)
{
	struct i8042_state state = {0};

	i8042_save(&c->i8042, &state);
	schema_encode(&i8042_state_schema, &state, out);
}

static int load_i8042(struct chipset *c, const struct schema_raw *text,
		      struct err *err)
{
	struct i8042_state state = {0};
	int r = decode(&i8042_state_schema, text, &state, err);

	return r < 0 ? r : i8042_load(&c->i8042, &state, err);
}

static void save_serial(struct chipset *c, struct buf *out)
{
	cleanup_free struct serial_state *state = calloc(1, sizeof(*state));

	if (!state) {
		out->failed = true;
		return;
	}
	serial_save(&c->serial, state);
	schema_encode(&serial_state_schema, state, out);
}

static int load_serial(struct chipset *c, const struct schema_raw *text,
		       struct err *err)
{
	struct serial_state *state = pages_new(sizeof(*state), sizeof(*state));
	int r;

	if (!state)
		return err_set(err, -ENOMEM, "Out of memory");
	r = decode(&serial_state_schema, text, state, err);
	if (r == 0)
		r = serial_load(&c->serial, state, err);
	pages_free(state, sizeof(*state));
	return r;
}

static void save_rtc(struct chipset *c, struct buf *out)
{
	struct rtc_state state = {0};

	rtc_save(&c->rtc, &state);
	schema_encode(&rtc_state_schema, &state, out);
}

static int load_rtc(struct chipset *c, const struct schema_raw *text,
		    struct err *err)
{
	struct rtc_state state = {0};
	int r = decode(&rtc_state_schema, text, &state, err);

	return r < 0 ? r : rtc_load(&c->rtc, &state, err);
}

static void save_virtio(struct chipset *c, struct buf *out)
{
	virtio_save(c->slots, out);
}

static int load_virtio(struct chipset *c, const struct schema_raw *text,
		       struct err *err)
{
	return virtio_load(c->slots, text, err);
}

static bool is_split(const struct chipset *c)
{
	return c->board->kvm_vm.split;
}

/*
 * The only list of devices. Its order is guest ABI. A device with state has
 * save and load; there() tells when it is not in every machine.
 */
static const struct {
	const char *name;
	int (*add)(struct chipset *c, struct err *err);
	void (*free)(struct chipset *c);
	void (*save)(struct chipset *c, struct buf *out);
	int (*load)(struct chipset *c, const struct schema_raw *text,
		    struct err *err);
	bool (*there)(const struct chipset *c);
} devices[] = {
	{"ioapic", add_ioapic, free_ioapic, save_ioapic, load_ioapic, is_split},
	{"i8042", add_i8042, free_i8042, save_i8042, load_i8042, NULL},
	{"serial", add_serial, free_serial, save_serial, load_serial, NULL},
	{"rtc", add_rtc, free_rtc, save_rtc, load_rtc, NULL},
	{"acpi_pm", add_acpi_pm, NULL, NULL, NULL, NULL},
	{"boot_timer", add_boot_timer, NULL, NULL, NULL, NULL},
	{"vmgenid", add_vmgenid, NULL, NULL, NULL, NULL},
	{"virtio", add_virtio, free_virtio, save_virtio, load_virtio, NULL},
};

static bool has_state(const struct chipset *c, size_t i)
{
	return devices[i].save && (!devices[i].there || devices[i].there(c));
}

static void save_devices(struct chipset *c, struct snapshot *s,
			 struct buf *text)
{
	size_t start[ARRAY_SIZE(devices)];

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		start[i] = text->len;
		if (has_state(c, i))
			devices[i].save(c, text);
	}
	/* The text has stopped moving. */
	for (size_t i = 0; i < ARRAY_SIZE(devices) && !text->failed; i++) {
		size_t end =
			i + 1 < ARRAY_SIZE(devices) ? start[i + 1] : text->len;
		struct snapshot_device *d = &s->devices[s->nr_devices];

		if (!has_state(c, i))
			continue;
		(void)snprintf(d->name, sizeof(d->name), "%s", devices[i].name);
		d->state = (struct schema_raw){text->data + start[i],
					       end - start[i]};
		s->nr_devices++;
	}
}

static const struct snapshot_device *find_state(const struct snapshot *s,
						const char *name)
{
	for (unsigned int i = 0; i < s->nr_devices; i++)
		if (strcmp(s->devices[i].name, name) == 0)
			return &s->devices[i];
	return NULL;
}

static int load_devices(struct chipset *c, const struct snapshot *s,
			struct err *err)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		const struct snapshot_device *d;
		struct err why = {0};
		int r;

		if (!has_state(c, i))
			continue;
		d = find_state(s, devices[i].name);
		if (!d)
			return err_set(err, -EINVAL,
				       "The state of the device %s is missing",
				       devices[i].name);
		r = devices[i].load(c, &d->state, &why);
		if (r < 0)
			return err_set(err, r,
				       "The state of the device %s is not "
				       "possible: %s",
				       d->name, why.text);
		nr++;
	}
	if (nr != s->nr_devices)
		return err_set(err, -EINVAL,
			       "The snapshot has %u devices, this machine %u",
			       s->nr_devices, nr);
	return 0;
}

static int add_devices(struct chipset *c, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct err why = {0};
		int r = devices[i].add(c, &why);

		c->nr_devices = i + 1;
		if (r < 0)
			return err_set(err, r, "%s: %s", devices[i].name,
				       why.rc ? why.text : err_name(r));
	}
	if (c->board->kvm_vm.split)
		ioapic_show_pins(&c->interrupts->ioapic,
				 layout_ioapic_pins(c->slots->nr));
	return 0;
}

static void free_devices(struct chipset *c)
{
	for (size_t i = c->nr_devices; i-- > 0;)
		if (devices[i].free)
			devices[i].free(c);
}

/* ---- building ---- */

static enum gmem_pages pages_of(enum config_huge_pages huge)
{
	switch (huge) {
	case HUGE_PAGES_TRANSPARENT:
		return GMEM_PAGES_TRANSPARENT;
	case HUGE_PAGES_2M:
		return GMEM_PAGES_2M;
	default:
		return GMEM_PAGES_DEFAULT;
	}
}

static enum boot_prefer prefer_of(enum config_entry entry)
{
	switch (entry) {
	case ENTRY_PVH:
		return BOOT_PREFER_PVH;
	case ENTRY_LINUX64:
		return BOOT_PREFER_LINUX64;
	default:
		return BOOT_PREFER_AUTO;
	}
}

static int note_file(struct board_file *file, int fd, const char *path,
		     struct err *err)
{
	struct stat st;

	file->fd = fd;
	file->path = path;
	if (fd < 0)
		return 0;
	if (fd_stat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path,
			       err_name(errno));
	file->size = st.st_size;
	return 0;
}

static int open_kvm(struct board *board, struct err *err)
{
	int fd = path_open(board->env.config->opener, PATH_KVM, NULL, err);

	return kvm_open(&board->kvm, fd, err);
}

/* A file that is mapped into memory keeps huge pages away from it. */
static void ask_policy(struct board *board)
{
	char policy[64];

	(void)path_read_text(board->env.config->opener, PATH_HUGE_POLICY,
			     policy, sizeof(policy));
	gmem_set_policy(&board->mem, policy);
}

/* Guest memory with the kernel in it; KVM does not know of it yet. */
static int load(struct board *board, struct boot_entry *entry, struct err *err)
{
	const struct vm_config *c = board->env.config;
	char root[CONFIG_CMDLINE_MAX];
	const struct boot_image image = {
		.kernel_fd = c->boot_source.kernel_fd,
		.kernel_path = c->boot_source.kernel_image_path,
		.initrd_fd = c->boot_source.initrd_fd,
		.initrd_path = c->boot_source.initrd_path,
		.cmdline = c->boot_source.boot_args ? c->boot_source.boot_args
						    : CONFIG_CMDLINE_DEFAULT,
		.root = root,
	};
	struct boot_platform platform = {
		.nr_cpus = c->machine.vcpu_count,
		.split_irqchip = c->irqchip == IRQCHIP_SPLIT,
		.has_serial = true,
		.has_i8042 = true,
		.has_rtc = true,
		.has_genid = true,
		.prefer = prefer_of(c->entry),
	};
	int r = virtio_describe(c, &platform, err);

	if (r == 0 && drives_root_words(c, root, sizeof(root)) < 0)
		r = err_set(err, -E2BIG,
			    "The partuuid of the root device is too long for "
			    "a kernel command line");
	if (r == 0)
		r = gmem_new(&board->mem, MIB(c->machine.mem_size_mib),
			     pages_of(c->machine.huge_pages), err);
	if (r == 0)
		r = note_file(&board->file[0], image.kernel_fd,
			      image.kernel_path, err);
	if (r == 0)
		r = note_file(&board->file[1], image.initrd_fd,
			      image.initrd_path, err);
	if (r < 0)
		return r;
	if (board->file[0].size >= (off_t)BOOT_MAP_MIN_BYTES ||
	    board->file[1].size >= (off_t)BOOT_MAP_MIN_BYTES)
		ask_policy(board);
	return boot_load(&board->mem, &image, &platform, entry, err);
}

/* KVM notes what the guest writes when this is asked for as it gets memory. */
static int give_memory(struct board *board, struct err *err)
{
	if (board->env.config->machine.track_dirty_pages &&
	    gmem_track(&board->mem) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	return kvm_vm_set_memory(&board->kvm_vm, &board->mem, err);
}

static int make_vm(struct board *board, struct err *err)
{
	bool split = board->env.config->irqchip == IRQCHIP_SPLIT;
	int r = kvm_vm_new(&board->kvm_vm, &board->kvm, err);

	if (r == 0)
		r = give_memory(board, err);
	if (r == 0)
		r = kvm_irqchip_new(&board->kvm_vm, split, err);
	return r;
}

static int set_up_vcpu(const struct board *board, struct vcpu *vcpu,
		       const struct boot_entry *entry,
		       struct cpuid_table *cpuid,
		       const struct cpuid_topology *topology, struct err *err)
{
	const struct vcpu_boot boot = {
		.entry = entry->mode == BOOT_ENTRY_PVH32 ? VCPU_ENTRY_PVH32
							 : VCPU_ENTRY_LONG64,
		.ip = entry->ip,
		.arg = entry->arg,
		.cr3 = entry->cr3,
		.gdt = entry->gdt,
		.gdt_limit = entry->gdt_limit,
	};
	int r;

	cpuid_set_vcpu(cpuid, vcpu->kvm.id, topology);
	r = kvm_vcpu_set_cpuid(&vcpu->kvm, cpuid, err);
	if (r == 0)
		r = kvm_vcpu_set_boot_msrs(&vcpu->kvm, err);
	if (r == 0 && !board->kvm_vm.split)
		r = kvm_vcpu_set_virtual_wire(&vcpu->kvm, err);
	/* The others wait for INIT and SIPI, as KVM made them. */
	if (r == 0 && vcpu->kvm.id == 0)
		r = kvm_vcpu_set_boot(&vcpu->kvm, &boot, err);
	return r;
}

static int make_vcpus(struct machine *m, const struct boot_entry *entry,
		      struct err *err)
{
	struct board *board = &m->board;
	const struct vm_config *config = board->env.config;
	const struct machine_config *c = &config->machine;
	const struct cpuid_topology topology = {
		.nr_vcpus = c->vcpu_count,
		.threads_per_core = c->smt && c->vcpu_count > 1 ? 2 : 1,
	};
	cleanup_free struct cpuid_table *cpuid = malloc(sizeof(*cpuid));
	int r;

	if (!cpuid)
		return err_set(err, -ENOMEM, "Out of memory");
	r = vcpus_new(&m->vcpus, &m->board.kvm_vm, c->vcpu_count, err);
	if (r == 0)
		r = cpuid_read_supported(&board->kvm, cpuid, err);
	if (r < 0)
		return r;
	cpuid_prepare(cpuid, board->kvm.has_tsc_deadline, &topology);
	if (!config->nested)
		cpuid_hide_nested(cpuid);
	for (unsigned int i = 0; i < m->vcpus.nr && r == 0; i++)
		r = set_up_vcpu(board, &m->vcpus.vcpu[i], entry, cpuid,
				&topology, err);
	return r;
}

/* ---- restoring ---- */

/* The guest cannot go on; machine_free() lets go who waits for a page. */
static void handler_gone(void *ctx)
{
	struct machine *m = ctx;

	log_error(UFFD_GONE);
	env_end(&m->board.env, VM_END_HOST);
}

static int memory_by_uffd(struct machine *m, struct machine_source *src,
			  struct err *err)
{
	const struct vm_env *env = &m->board.env;
	const struct vm_config *c = env->config;
	cleanup_fd int dev = path_open(c->opener, PATH_USERFAULTFD, NULL, NULL);
	int r = gmem_new(&m->board.mem, src->snapshot->memory_bytes,
			 pages_of(c->machine.huge_pages), err);

	m->board.mem.origin = GMEM_SERVED;
	m->uffd.sandbox = env->sandbox;
	if (r == 0)
		r = uffd_connect(&m->uffd, &m->board.mem, dev, &src->uffd_sock,
				 env->loop, handler_gone, m, err);
	if (r < 0)
		err_prefix_api(err,
			       "Failed to load guest memory: Error creating "
			       "guest memory from uffd: ");
	return r;
}

static int memory_from_file(struct machine *m, struct machine_source *src,
			    struct err *err)
{
	int r;

	m->memory_fd = fd_steal(&src->memory_fd);
	m->memory_path = strdup(src->memory_path);
	r = m->memory_path
		    ? gmem_new_from_file(
			      &m->board.mem, src->snapshot->memory_bytes,
			      pages_of(m->board.env.config->machine.huge_pages),
			      m->memory_fd, 0, err)
		    : err_set(err, -ENOMEM, "Out of memory");
	if (r == 0)
		r = note_file(&m->board.file[0], m->memory_fd, m->memory_path,
			      err);
	if (r < 0)
		err_prefix_api(err,
			       "Failed to load guest memory: Error creating "
			       "guest memory from file: ");
	return r;
}

/* What this host cannot do it says before anything is made. */
static int check_source(struct machine *m, const struct snapshot *s,
			struct err *err)
{
	bool same = snapshot_same_host(s, m->boot_id);
	int r = 0;

	if (s->nr_vcpus != m->board.env.config->machine.vcpu_count ||
	    s->memory_bytes % MIB(1) != 0 || /* no product that overflows */
	    s->memory_bytes / MIB(1) !=
		    m->board.env.config->machine.mem_size_mib ||
	    s->vm.has_chips != (m->board.env.config->irqchip == IRQCHIP_FULL))
		return err_set(err, -EINVAL,
			       "The parts of the snapshot do not belong "
			       "together");
	for (unsigned int i = 0; i < s->nr_vcpus && r == 0; i++)
		r = vcpu_state_check(&m->board.kvm, &s->vcpus[i], same || i > 0,
				     err);
	return r;
}

static int set_vcpus(struct machine *m, const struct snapshot *s,
		     struct err *err)
{
	int r = vcpus_new(&m->vcpus, &m->board.kvm_vm, s->nr_vcpus, err);

	for (unsigned int i = 0; i < s->nr_vcpus && r == 0; i++)
		r = vcpu_state_set(&m->vcpus.vcpu[i].kvm, &s->vcpus[i], err);
	return r;
}

/* Chips behind the vCPUs, devices behind the chips, irqfds behind the devices:
 * whatever is delivered finds its receiver set. The clock is last. */
int machine_restore(struct machine *m, struct machine_source *src,
		    struct err *err)
{
	const struct snapshot *s = src->snapshot;
	struct phases *p = src->phases;
	int r = open_kvm(&m->board, err);

	if (r == 0)
		r = check_source(m, s, err);
	if (r < 0)
		return r;
	phases_end(p, "checks against this host");
	r = src->uffd ? memory_by_uffd(m, src, err)
		      : memory_from_file(m, src, err);
	phases_end(p, "memory mmap");
	if (r == 0)
		r = kvm_vm_new(&m->board.kvm_vm, &m->board.kvm, err);
	phases_end(p, "KVM VM create");
	if (r == 0)
		r = give_memory(&m->board, err);
	phases_end(p, "memory register with KVM");
	if (r == 0)
		r = kvm_irqchip_new(&m->board.kvm_vm, !s->vm.has_chips, err);
	if (r == 0)
		r = add_devices(&m->chipset, err);
	if (r < 0)
		return r;
	virtio_pause(&m->slots);
	phases_end(p, "devices create");
	r = set_vcpus(m, s, err);
	phases_end(p, "vCPU create and state restore");
	if (r == 0)
		r = vm_state_set_chips(&m->board.kvm_vm, &s->vm, err);
	if (r == 0)
		r = load_devices(&m->chipset, s, err);
	if (r == 0)
		r = virtio_connect(&m->slots, err);
	if (r == 0 && kvm_routes_commit(&m->board.kvm_vm) < 0)
		r = err_set(err, -EIO, "KVM_SET_GSI_ROUTING failed");
	phases_end(p, "IRQ chip and device restore");
	if (r == 0)
		r = vm_state_set_clock(&m->board.kvm_vm, &s->vm,
				       src->advance_clock, err);
	if (r == 0) /* touches a page */
		r = vmgenid_renew(&m->chipset.vmgenid, err);
	/* Zeros that are none may have been what failed. */
	if (src->uffd && (r == 0 || uffd_is_lost(&m->uffd)))
		r = uffd_settle(&m->uffd, err);
	phases_end(p, "clock restore");
	return r;
}

int machine_save(struct machine *m, struct snapshot *s, struct buf *text,
		 struct err *err)
{
	struct msr_list list;
	int r = msrs_list(&m->board.kvm, &list, err);

	for (unsigned int i = 0; i < m->vcpus.nr && r == 0; i++)
		r = vcpu_state_get(&m->vcpus.vcpu[i].kvm, &list, &s->vcpus[i],
				   err);
	s->nr_vcpus = m->vcpus.nr;
	s->memory_bytes = m->board.mem.size;
	if (r == 0)
		r = vm_state_get(&m->board.kvm_vm, &s->vm, err);
	if (r < 0)
		return r;
	save_devices(&m->chipset, s, text);
	return text->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

/* ---- both ways ---- */

int machine_boot(struct machine *m, struct err *err)
{
	const struct vm_env *env = &m->board.env;
	struct boot_entry entry = {0};
	int r;

	if (!env->config->boot_source.present)
		return err_set(err, -EINVAL,
			       "Cannot start microvm without kernel "
			       "configuration.");
	r = load(&m->board, &entry, err);
	if (r < 0)
		return r;
	env_mark(env, TIMELINE_KERNEL_READY);
	r = open_kvm(&m->board, err);
	if (r == 0)
		r = make_vm(&m->board, err);
	if (r < 0)
		return r;
	env_mark(env, TIMELINE_KVM_READY);
	r = add_devices(&m->chipset, err);
	if (r == 0)
		r = make_vcpus(m, &entry, err);
	if (r == 0)
		r = virtio_connect(&m->slots, err);
	return r;
}

/* What a snapshot will need. */
static void know_host(struct machine *m)
{
	const struct handover *host = m->board.env.host;

	m->pagemap = host->pagemap;
	(void)snprintf(m->boot_id, sizeof(m->boot_id), "%s", host->boot_id);
	snapshot_kernel_name(m->kernel);
}

static int add_counters(struct machine *m, struct err *err)
{
	struct metrics *metrics = m->board.env.metrics;
	int r = metrics_add(metrics, &vcpu_metric_group, NULL,
			    &m->exits.counters);

	if (r == 0)
		r = metrics_add(metrics, &interrupts_metric_group, NULL,
				&m->interrupts.metrics);
	return r < 0 ? err_set(err, r, "Out of memory") : 0;
}

static void connect_parts(struct machine *m)
{
	m->interrupts.kvm_vm = &m->board.kvm_vm;
	m->interrupts.slots = &m->slots;
	virtio_init(&m->slots, &m->board, &m->interrupts.metrics.triggers);
	m->chipset.board = &m->board;
	m->chipset.interrupts = &m->interrupts;
	m->chipset.slots = &m->slots;
	m->exits.board = &m->board;
	m->exits.interrupts = &m->interrupts;
	vcpus_init(&m->vcpus, &m->exits);
}

int machine_new(struct machine **out, const struct vm_env *env, struct err *err)
{
	struct machine *m = pages_new(
		sizeof(*m), offsetof(struct machine, chipset.console.held));
	int r;

	if (!m)
		return err_set(err, -ENOMEM, "Out of memory");
	board_init(&m->board, env);
	m->memory_fd = -1;
	uffd_init(&m->uffd);
	connect_parts(m);
	know_host(m);
	r = add_counters(m, err);
	if (r < 0)
		machine_free(m);
	else
		*out = m;
	return r;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vcpus_stop(&m->vcpus);
	uffd_free(&m->uffd); /* lets go who waits for a page */
	vcpus_free(&m->vcpus);
	metrics_remove(m->board.env.metrics, &m->exits.counters);
	metrics_remove(m->board.env.metrics, &m->interrupts.metrics);
	free_devices(&m->chipset);
	kvm_vm_free(&m->board.kvm_vm);
	kvm_close(&m->board.kvm);
	gmem_free(&m->board.mem);
	fd_close(&m->memory_fd);
	free(m->memory_path);
	pages_free(m, sizeof(*m));
}

int machine_send_ctrl_alt_del(struct machine *m, struct err *err)
{
	int r = i8042_send_ctrl_alt_del(&m->chipset.i8042);

	if (r < 0)
		return err_set(err, r,
			       "The guest has not read the keys sent before");
	return 0;
}
