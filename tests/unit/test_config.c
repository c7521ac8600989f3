// SPDX-License-Identifier: Apache-2.0
/*
 * test_config.c - the configuration's one description: nothing is left out of
 * it, by anybody, without a reason
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"
#include "config/parts.h"
#include "config/state.h"
#include "config/words.h"

/* ---- each member has its line ---- */

static void mark(uint8_t *bytes, size_t offset, size_t size)
{
	memset(bytes + offset, 0, size);
}

static void mark_fields(uint8_t *bytes, const struct schema_object *object)
{
	for (size_t i = 0; i < object->nr; i++) {
		const struct schema_field *f = &object->fields[i];

		mark(bytes, f->offset, f->size);
		if ((f->flags | f->patch | f->saved) & SCHEMA_HAS &&
		    !(f->flags & SCHEMA_ABSENT))
			mark(bytes, f->has, sizeof(bool));
	}
}

static void mark_parts(uint8_t *bytes)
{
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];

		mark(bytes, part->offset,
		     part->nr ? sizeof(void *) : part->whole->size);
		if (part->nr)
			mark(bytes, part->nr, sizeof(size_t));
	}
}

static void expect_marked(const char *type, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			fail_msg("%s: no line of its table is for the member "
				 "at byte %zu",
				 type, i);
}

#if defined(__has_builtin) && __has_builtin(__builtin_clear_padding)
/* The compiler knows which bytes are members. */
#define EXPECT_COVERED(type, object, ...)                      \
	do {                                                   \
		type all;                                      \
		uint8_t bytes[sizeof(all)];                    \
                                                               \
		assert_int_equal((object)->size, sizeof(all)); \
		memset(&all, 0xff, sizeof(all));               \
		__builtin_clear_padding(&all);                 \
		memcpy(bytes, &all, sizeof(all));              \
		mark_fields(bytes, (object));                  \
		__VA_ARGS__;                                   \
		expect_marked(#type, bytes, sizeof(bytes));    \
	} while (0)

static void every_member_has_its_line(void **state)
{
	(void)state;
	EXPECT_COVERED(struct vm_config, &config_rest, mark_parts(bytes));
	EXPECT_COVERED(struct machine_config, &config_machine);
	EXPECT_COVERED(struct cpu_config, &config_cpu);
	EXPECT_COVERED(struct boot_source_config, &config_boot_source);
	EXPECT_COVERED(struct serial_config, &config_serial);
	EXPECT_COVERED(struct drive_config, &config_drive);
	EXPECT_COVERED(struct net_config, &config_net);
	EXPECT_COVERED(struct vsock_config, &config_vsock);
	EXPECT_COVERED(struct entropy_config, &config_entropy);
	EXPECT_COVERED(struct balloon_config, &config_balloon);
	EXPECT_COVERED(struct memory_hotplug_config, &config_memory_hotplug);
	EXPECT_COVERED(struct pmem_config, &config_pmem);
	EXPECT_COVERED(struct rate_limiter_config, &config_rate_limiter);
	EXPECT_COVERED(struct token_bucket_config, &config_token_bucket);
}
#else
static void every_member_has_its_line(void **state)
{
	(void)state;
	(void)mark_fields;
	(void)mark_parts;
	(void)expect_marked;
	print_message("this compiler does not tell members from padding\n");
	skip();
}
#endif

/* ---- what a reader does not know, it does not know for a reason ---- */

static void expect_reason(const struct schema_object *object,
			  const struct schema_field *field, unsigned int flags,
			  const char *reader)
{
	if ((flags & SCHEMA_ABSENT) && !(flags & SCHEMA_HIDDEN))
		fail_msg("%s: %s does not know the field %s, and no reason is "
			 "stated",
			 object->name, reader, field->name);
}

static void expect_reasons(const struct schema_object *object)
{
	for (size_t i = 0; i < object->nr; i++) {
		const struct schema_field *field = &object->fields[i];

		expect_reason(object, field, field->flags, "the API");
		expect_reason(object, field, field->saved, "a snapshot");
		if (field->type == SCHEMA_OBJECT)
			expect_reasons(field->object);
	}
}

static void every_gap_has_its_reason(void **state)
{
	(void)state;
	expect_reasons(&config_rest);
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++)
		expect_reasons(config_parts[i]->whole);
}

/* ---- what a snapshot knows comes back ---- */

static void fill_object(const struct schema_object *object, char *base);

static void fill(const struct schema_field *field, char *base)
{
	char *value = base + field->offset;

	if (field->saved & SCHEMA_HAS)
		*(bool *)(base + field->has) = true;
	switch (field->type) {
	case SCHEMA_STRING:
		*(char **)(void *)value = strdup("/text");
		assert_non_null(*(char **)(void *)value);
		break;
	case SCHEMA_ENUM:
		assert_true(field->names->nr > 1);
		memset(value, 0, field->size);
		*value = 1;
		break;
	case SCHEMA_OBJECT:
		fill_object(field->object, value);
		break;
	case SCHEMA_LIST: /* config_with_all() */
		break;
	case SCHEMA_BOOL:
		*(bool *)value = true;
		break;
	default: /* a number, or bytes: not 0 */
		memset(value, 0, field->size);
		memset(value, 7,
		       field->type == SCHEMA_PARSED ? field->size : 1);
		break;
	}
}

static void fill_object(const struct schema_object *object, char *base)
{
	for (size_t i = 0; i < object->nr; i++)
		if (!(object->fields[i].saved & SCHEMA_ABSENT))
			fill(&object->fields[i], base);
}

/* The only lists in a part are of strings. */
static void expect_same_texts(const struct schema_list *a,
			      const struct schema_list *b)
{
	assert_int_equal(a->nr, b->nr);
	for (size_t i = 0; i < a->nr; i++)
		assert_string_equal(((char *const *)a->items)[i],
				    ((char *const *)b->items)[i]);
}

static void expect_same(const struct schema_object *object, const char *a,
			const char *b)
{
	for (size_t i = 0; i < object->nr; i++) {
		const struct schema_field *f = &object->fields[i];
		const char *x = a + f->offset, *y = b + f->offset;

		if (f->saved & SCHEMA_ABSENT)
			continue;
		if (f->type == SCHEMA_STRING) {
			assert_non_null(*(char *const *)(const void *)y);
			assert_string_equal(*(char *const *)(const void *)x,
					    *(char *const *)(const void *)y);
		} else if (f->type == SCHEMA_OBJECT) {
			expect_same(f->object, x, y);
		} else if (f->type == SCHEMA_LIST) {
			expect_same_texts((const void *)x, (const void *)y);
		} else if (memcmp(x, y, f->size) != 0) {
			fail_msg("%s: %s does not come back", object->name,
				 f->name);
		}
		if (f->saved & SCHEMA_HAS)
			assert_true(*(const bool *)(b + f->has));
	}
}

/* Everything that is named is a file of two sectors. */
static int open_any(const struct path_opener *opener,
		    const struct path_want *want, struct err *err)
{
	int fd = memfd_create("any", MFD_CLOEXEC);

	(void)opener;
	(void)want;
	(void)err;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1024), 0);
	return fd;
}

static const struct path_ops any_ops = {.open = open_any};
static const struct path_opener any = {.ops = &any_ops};

static void set_text(char **at, const char *text)
{
	free(*at);
	*at = strdup(text);
	assert_non_null(*at);
}

static void config_with_all(struct vm_config *config)
{
	vm_config_init(config);
	config->opener = &any;
	config->drives = calloc(1, sizeof(*config->drives));
	config->nets = calloc(1, sizeof(*config->nets));
	config->pmems = calloc(1, sizeof(*config->pmems));
	assert_true(config->drives && config->nets && config->pmems);
	config->nr_drives = 1;
	config->nr_pmems = 1;
	config->nr_nets = 1;
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];
		size_t nr;
		void *item = config_part_items(part, config, &nr);

		assert_int_equal(nr, 1);
		if (part->init)
			part->init(item);
		fill_object(part->whole, item);
		if (part->present)
			*(bool *)((char *)config + part->present) = true;
	}
	fill_object(&config_rest, (char *)config);
	/* The drive is. */
	config->pmems[0].root_device = false;
	/* The two do not go together. */
	config->nets[0].vhost = false;
	config->nets[0].mtu = 1500;
	/* Of a socket. */
	set_text(&config->nets[0].host_dev_name, "/socket");
	set_text(&config->nets[0].egress, "-10.0.0.0/8");
	/* Sizes that go together. */
	config->memory_hotplug = (struct memory_hotplug_config){
		.present = true,
		.total_size_mib = 768,
		.block_size_mib = 4,
		.slot_size_mib = 256,
	};
	/* It checks its address, and names an interface that there is. */
	mmds_config_init(&config->mmds);
	config->mmds.present = true;
	config->mmds.version = CONFIG_MMDS_V2;
	config->mmds.imds_compat = true;
	config->mmds.ipv4_address[2] = 7;
	config->mmds.network_interfaces.items = calloc(1, sizeof(char *));
	assert_non_null(config->mmds.network_interfaces.items);
	config->mmds.network_interfaces.nr = 1;
	*(char **)config->mmds.network_interfaces.items =
		strdup(config->nets[0].iface_id);
}

static void what_is_saved_comes_back(void **state)
{
	const struct config_overrides none = {0};
	struct vm_config config, back;
	struct config_state *read;
	struct buf text = {0};
	struct schema_raw raw;
	struct err err = {0};
	size_t nr;

	(void)state;
	config_with_all(&config);
	config_state_encode(&config, &text);
	assert_false(text.failed);
	raw = (struct schema_raw){text.data, text.len};
	vm_config_init(&back);
	back.opener = &any;
	assert_int_equal(config_state_read(&read, &back, &raw, &none, &err), 0);
	assert_int_equal(config_state_open(read, &back, &none, &err), 0);
	config_state_free(read);
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];

		assert_true(config_part_is_set(part, &back));
		expect_same(part->whole, config_part_items(part, &config, &nr),
			    config_part_items(part, &back, &nr));
		assert_int_equal(nr, 1);
	}
	expect_same(&config_rest, (char *)&config, (char *)&back);
	buf_free(&text);
	vm_config_fini(&config);
	vm_config_fini(&back);
}

/* The configuration of a snapshot that an earlier version wrote, its members
 * in another order. */
static void an_older_snapshot_is_read(void **state)
{
	static const char text[] =
		"{\"machine\":{\"vcpu_count\":2,\"mem_size_mib\":64,\"smt\":"
		"false,\"track_dirty_pages\":true,\"huge_pages\":\"None\","
		"\"cpu_template\":\"unset\"},\"boot_source\":null,\"serial\":"
		"null,\"irqchip\":\"full\",\"boot_timer\":false,\"drives\":[{"
		"\"drive_id\":\"a\",\"is_root_device\":true,"
		"\"has_is_read_only\":true,\"is_read_only\":true,"
		"\"has_cache_type\":false,\"cache_type\":\"Unsafe\","
		"\"has_io_engine\":true,\"io_engine\":\"Sync\",\"partuuid\":"
		"null,\"path_on_host\":\"/d\",\"rate_limiter\":null}],"
		"\"nets\":[{\"iface_id\":\"n\",\"host_dev_name\":\"t\","
		"\"has_mac\":true,\"guest_mac\":\"060000000001\",\"has_mtu\":"
		"false,\"mtu\":0,\"vhost\":false,\"rx_rate_limiter\":{"
		"\"bandwidth\":{\"size\":1,\"refill_time\":2,"
		"\"one_time_burst\":0,\"has_one_time_burst\":false},\"ops\":"
		"null},\"tx_rate_limiter\":null}],\"vsock\":{\"guest_cid\":3,"
		"\"uds_path\":\"v\"},\"entropy\":null,\"balloon\":null}";
	const struct schema_raw raw = {text, sizeof(text) - 1};
	struct config_override other[] = {{0}, {0}};
	struct config_overrides overrides = {
		.drives = &other[0],
		.nr_drives = 1,
		.nets = &other[1],
		.nr_nets = 1,
		.vsock_uds_path = "w",
	};
	struct config_state *read;
	struct vm_config back;
	struct err err = {0};

	(void)state;
	assert_int_equal(config_override_parse("disk", "PATH", "a=/e", NULL, 0,
					       &other[0], &err),
			 0);
	assert_int_equal(config_override_parse("net", "TAP", "n=u", NULL, 0,
					       &other[1], &err),
			 0);
	vm_config_init(&back);
	back.opener = &any;
	assert_int_equal(
		config_state_read(&read, &back, &raw, &overrides, &err), 0);
	assert_int_equal(config_state_open(read, &back, &overrides, &err), 0);
	config_state_free(read);
	assert_int_equal(back.machine.cpu_template, CPU_TEMPLATE_UNSET);
	assert_int_equal(back.irqchip, IRQCHIP_FULL);
	assert_int_equal(back.nr_drives, 1);
	assert_string_equal(back.drives[0].path_on_host, "/e");
	assert_true(back.drives[0].is_read_only && back.drives[0].fd >= 0);
	assert_string_equal(back.nets[0].host_dev_name, "u");
	assert_memory_equal(back.nets[0].guest_mac, "\6\0\0\0\0\1", 6);
	assert_int_equal(back.nets[0].rx_rate_limiter.bandwidth.refill_time, 2);
	assert_string_equal(back.vsock.uds_path, "w");
	assert_false(back.balloon.present);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		free(other[i].id);
		free(other[i].to);
	}
	vm_config_fini(&back);
}

/* ---- what a person types ---- */

static void words_set_their_members(void **state)
{
	struct vm_config config;
	struct err err = {0};
	const struct drive_config *d;
	const struct net_config *n;

	(void)state;
	vm_config_init(&config);
	config.opener = &any;
	assert_int_equal(config_disk_set("a=b,ro,id=x_1,engine=async,"
					 "cache=unsafe",
					 0, true, &config, &err),
			 0);
	assert_int_equal(config_disk_set("c", 1, false, &config, &err), 0);
	assert_int_equal(config_net_set("mac=06:00:00:00:00:01,tap=t,mtu=1400,"
					"vhost",
					0, &config, &err),
			 0);
	assert_int_equal(config_vsock_set("path=v", &config, &err), 0);
	d = config.drives;
	assert_string_equal(d[0].path_on_host, "a=b");
	assert_string_equal(d[0].drive_id, "x_1");
	assert_true(d[0].is_read_only && d[0].is_root_device);
	assert_int_equal(d[0].io_engine, IO_ENGINE_ASYNC);
	assert_int_equal(d[0].cache_type, CACHE_UNSAFE);
	assert_string_equal(d[1].drive_id, "disk1");
	assert_int_equal(d[1].cache_type, CACHE_WRITEBACK);
	assert_false(d[1].is_read_only || d[1].is_root_device);
	n = config.nets;
	assert_string_equal(n->host_dev_name, "t");
	assert_true(n->has_mac && n->has_mtu && n->vhost);
	assert_memory_equal(n->guest_mac, "\6\0\0\0\0\1", 6);
	assert_int_equal(n->mtu, 1400);
	assert_int_equal(config.vsock.guest_cid, 3);
	vm_config_fini(&config);
}

static void words_that_do_not_fit(void **state)
{
	const struct {
		char flag; /* its first letter */
		const char *text;
		const char *error;
	} rows[] = {
		{'d', "p,ro=1", "--disk: unknown word 'ro=1'; expected PATH"},
		{'d', "p,id", "--disk: unknown word 'id'; expected PATH"},
		{'d', "p,engine=Async", "--disk: unknown word 'engine=Async'"},
		{'d', "p,engine=", "--disk: unknown word 'engine='"},
		{'d', "p,=x", "--disk: unknown word '=x'"},
		{'d', "p,id=", "--disk: '' is no id"},
		{'d', "p,id=a-b", "--disk: 'a-b' is no id"},
		{'d', "p,ro,ro", "--disk p,ro,ro: 'ro' is given twice"},
		{'n', "mtu=1", "--net: no tap in 'mtu=1'; expected tap=NAME"},
		{'n', "t", "--net: unknown word 't'"},
		{'n', "tap=t,mac=06", "--net: no MAC address: '06'"},
		{'n', "tap=t,mtu=65536", "--net: no MTU: '65536'"},
		{'n', "tap=t,mtu=-1", "--net: no MTU: '-1'"},
		{'n', "tap=t,vhost=1", "--net: unknown word 'vhost=1'"},
		{'n', "tap=t,tap=u", "--net tap=t,tap=u: 'tap' is given twice"},
		{'v', "path=v,cid=2", "--vsock path=v,cid=2: it takes path="},
		{'v', "cid=4", "--vsock cid=4: it takes path="},
		{'v', "path=v,path=w", "there is a second path="},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;
		struct vm_config config;
		struct err err = {0};
		int r;

		vm_config_init(&config);
		config.opener = &any;
		r = rows[i].flag == 'd'
			    ? config_disk_set(text, 0, false, &config, &err)
		    : rows[i].flag == 'n'
			    ? config_net_set(text, 0, &config, &err)
			    : config_vsock_set(text, &config, &err);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err.text, rows[i].error))
			fail_msg("%s: %s", text, err.text);
		vm_config_fini(&config);
	}
}

/* ---- limits that change ---- */

/* PATCH: what is absent stays, and a bucket without a limit goes. */
static void a_limiter_is_updated(void **state)
{
	struct rate_limiter_config to = {0}, from = {0};

	(void)state;
	rate_limiter_config_update(&to, &from);
	assert_false(to.present);
	from.ops = (struct token_bucket_config){
		.present = true,
		.size = 10,
		.one_time_burst = 3,
		.refill_time = 100,
	};
	rate_limiter_config_update(&to, &from);
	assert_true(to.present && to.ops.present && !to.bandwidth.present);
	assert_true(to.ops.has_one_time_burst);
	from = (struct rate_limiter_config){
		.bandwidth = {.present = true, .size = 5, .refill_time = 1},
	};
	rate_limiter_config_update(&to, &from);
	assert_true(to.bandwidth.present && to.ops.present);
	assert_false(to.bandwidth.has_one_time_burst);
	assert_int_equal(to.ops.size, 10);
	from.bandwidth.size = 0;
	rate_limiter_config_update(&to, &from);
	assert_true(to.present && !to.bandwidth.present && to.ops.present);
	from.bandwidth.present = false;
	from.ops = (struct token_bucket_config){.present = true, .size = 8};
	rate_limiter_config_update(&to, &from);
	assert_false(to.present || to.ops.present || to.bandwidth.present);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_has_its_line),
		cmocka_unit_test(every_gap_has_its_reason),
		cmocka_unit_test(what_is_saved_comes_back),
		cmocka_unit_test(an_older_snapshot_is_read),
		cmocka_unit_test(words_set_their_members),
		cmocka_unit_test(words_that_do_not_fit),
		cmocka_unit_test(a_limiter_is_updated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
