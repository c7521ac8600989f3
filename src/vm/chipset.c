// SPDX-License-Identifier: Apache-2.0
/*
 * chipset.c - all devices of a machine (theory of operation: chipset.h)
 */
#include "vm/chipset.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/pages.h"
#include "boot/layout.h"
#include "host/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
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
	if (c->mark.fd >= 0 && eventfd_write(c->mark.fd, 1) < 0)
		return; /* it has been told already */
}

/* The VMM thread's part of that. */
static void on_mark(struct loop_source *src, uint32_t events)
{
	struct chipset *c = container_of(src, struct chipset, mark);
	eventfd_t nr;

	(void)events;
	if (eventfd_read(src->fd, &nr) == 0)
		pager_mark(&c->board->pager);
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
	const struct serial_config *serial = &config->serial;
	const struct sink *opened = c->board->env.output;

	if (serial->serial_out_path && serial->fd < 0)
		return stream_open(config->opener, PATH_SERIAL,
				   serial->serial_out_path, out, err);
	if (serial->serial_out_path) {
		*out = (struct sink){.fd = serial->fd, .kind = SINK_OWN};
	} else if (opened->kind != SINK_NONE) {
		*out = *opened;
		out->owned = false;
	} else {
		stream_borrow(config->opener, STDOUT_FILENO, out);
	}
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
	r = console_init(&c->console, c->board->env.loop, &c->serial, &params,
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

static int add_vmclock(struct chipset *c, struct err *err)
{
	(void)err;
	c->vmclock = (struct vmclock){&c->board->mem, LAYOUT_VMCLOCK};
	return 0;
}

/* Somebody may record which pages the guest uses up to its mark. */
static int add_mark(struct chipset *c, struct err *err)
{
	int r;

	if (c->board->pager.kind != PAGER_UFFD)
		return 0;
	c->mark.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->mark.events = EPOLLIN;
	c->mark.cb = on_mark;
	r = c->mark.fd < 0 ? -errno : loop_add(c->board->env.loop, &c->mark);
	return r < 0 ? err_set(err, r, "Cannot watch the boot timer: %s",
			       err_name(r))
		     : 0;
}

static int add_boot_timer(struct chipset *c, struct err *err)
{
	int r;

	c->mark.fd = -1;
	if (!c->board->env.config->boot_timer)
		return 0;
	r = add_mark(c, err);
	if (r < 0)
		return r;
	boot_timer_init(&c->boot_timer, boot_timer_fired, c);
	return bus_add(&c->board->mmio, LAYOUT_BOOT_TIMER, PAGE_SIZE,
		       &boot_timer_bus_ops, &c->boot_timer);
}

static void free_boot_timer(struct chipset *c)
{
	loop_del(c->board->env.loop, &c->mark);
	fd_close(&c->mark.fd);
}

static void free_ioapic(struct chipset *c)
{
	ioapic_fini(&c->interrupts->ioapic);
}

static void free_i8042(struct chipset *c)
{
	metrics_remove(c->board->env.metrics, &c->i8042.metrics);
	i8042_fini(&c->i8042);
}

static void free_serial(struct chipset *c)
{
	metrics_remove(c->board->env.metrics, &c->serial.metrics);
	console_fini(&c->console);
	serial_fini(&c->serial);
}

static void free_rtc(struct chipset *c)
{
	rtc_fini(&c->rtc);
}

static int add_virtio(struct chipset *c, struct err *err)
{
	return slots_add(c->slots, err);
}

static void free_virtio(struct chipset *c)
{
	slots_fini(c->slots);
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
	slots_save(c->slots, out);
}

static int load_virtio(struct chipset *c, const struct schema_raw *text,
		       struct err *err)
{
	return slots_load(c->slots, text, err);
}

static bool is_split(const struct chipset *c)
{
	return c->board->kvm_vm.split;
}

/*
 * The only list of devices. Its order is guest ABI. A device with state has
 * save and load, and present() when it is not in every machine.
 */
static const struct {
	const char *name;
	int (*add)(struct chipset *c, struct err *err);
	void (*free)(struct chipset *c);
	void (*save)(struct chipset *c, struct buf *out);
	int (*load)(struct chipset *c, const struct schema_raw *text,
		    struct err *err);
	bool (*present)(const struct chipset *c);
} devices[] = {
	{"ioapic", add_ioapic, free_ioapic, save_ioapic, load_ioapic, is_split},
	{"i8042", add_i8042, free_i8042, save_i8042, load_i8042, NULL},
	{"serial", add_serial, free_serial, save_serial, load_serial, NULL},
	{"rtc", add_rtc, free_rtc, save_rtc, load_rtc, NULL},
	{"acpi_pm", add_acpi_pm, NULL, NULL, NULL, NULL},
	{"boot_timer", add_boot_timer, free_boot_timer, NULL, NULL, NULL},
	{"vmclock", add_vmclock, NULL, NULL, NULL, NULL},
	{"vmgenid", add_vmgenid, NULL, NULL, NULL, NULL},
	{"virtio", add_virtio, free_virtio, save_virtio, load_virtio, NULL},
};

static bool has_state(const struct chipset *c, size_t i)
{
	return devices[i].save &&
	       (!devices[i].present || devices[i].present(c));
}

void chipset_save(struct chipset *c, struct snapshot *s, struct buf *text)
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

int chipset_load(struct chipset *c, const struct snapshot *s, struct err *err)
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

int chipset_add(struct chipset *c, struct err *err)
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

void chipset_fini(struct chipset *c)
{
	for (size_t i = c->nr_devices; i-- > 0;)
		if (devices[i].free)
			devices[i].free(c);
}
