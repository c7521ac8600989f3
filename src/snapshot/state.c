// SPDX-License-Identifier: Apache-2.0
/*
 * state.c - state.json (format: state.h)
 */
#include "snapshot/state.h"

#include "base/crc64.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>

#define CRC_PREFIX "{\"crc64\":\""
#define CRC_END    "\",\n"
#define CRC_DIGITS 16u
#define CRC_LINE   (sizeof(CRC_PREFIX) - 1 + CRC_DIGITS + sizeof(CRC_END) - 1)

/* ---- the table ---- */

static int parse_text(const char *text, void *value, struct err *err)
{
	size_t len = strlen(text);

	if (len >= SNAPSHOT_TEXT_MAX)
		return err_set(err, -EINVAL,
			       "invalid length %zu, expected a string of up "
			       "to %u characters",
			       len, SNAPSHOT_TEXT_MAX - 1);
	memcpy(value, text, len + 1);
	return 0;
}

static void show_text(const void *value, struct buf *out)
{
	buf_add_json(out, value, strnlen(value, SNAPSHOT_TEXT_MAX));
}

static const struct schema_parser text_parser = {parse_text, show_text};

/* clang-format off */
#define TEXT(type, member) \
	{ SCHEMA_STATE(#member, SCHEMA_PARSED, struct type, member), \
	  .parser = &text_parser }

static const struct schema_field word_field = {
	.type = SCHEMA_BITS, .size = sizeof(uint32_t),
};
static const struct schema_item word_item = {&word_field, sizeof(uint32_t)};

static const struct schema_field host_fields[] = {
	TEXT(snapshot_host, boot),
	TEXT(snapshot_host, cpu),
	TEXT(snapshot_host, kernel),
	{ SCHEMA_STATE("features", SCHEMA_ARRAY, struct snapshot_host,
		       features.word), .item = &word_item },
};
static const struct schema_object host =
	SCHEMA_STATE_OF(struct snapshot_host, host_fields);

static const struct schema_name storage_names[] = {
	{"raw", SNAPSHOT_RAW}, {"diff", SNAPSHOT_DIFF},
};
static const struct schema_enum storage = SCHEMA_NAMES(storage_names);

static const struct schema_field vcpu_field = {
	.type = SCHEMA_OBJECT, .object = &vcpu_state_schema,
};
static const struct schema_item vcpu_item = {
	&vcpu_field, sizeof(struct vcpu_state),
};

static const struct schema_field device_fields[] = {
	TEXT(snapshot_device, name),
	{ SCHEMA_STATE("state", SCHEMA_RAW, struct snapshot_device, state) },
};
static const struct schema_object state_device =
	SCHEMA_STATE_OF(struct snapshot_device, device_fields);
static const struct schema_item device_item =
	SCHEMA_STATE_ITEM(struct snapshot_device, &state_device);

static const struct schema_field snapshot_state_fields[] = {
	TEXT(snapshot, created),
	SCHEMA_STATE_UINT(struct snapshot, created_ns),
	SCHEMA_STATE_OBJECT(struct snapshot, host, &host),
	SCHEMA_STATE_UINT(struct snapshot, memory_bytes),
	{ SCHEMA_STATE("memory_storage", SCHEMA_ENUM, struct snapshot, storage),
	  .names = &storage },
	{ .name = "memory_base", .type = SCHEMA_PARSED,
	  SCHEMA_AT(struct snapshot, base), .parser = &text_parser },
	{ .name = "memory_moment", .type = SCHEMA_BITS,
	  SCHEMA_AT(struct snapshot, moment) },
	{ .name = "memory_run", .type = SCHEMA_BITS,
	  SCHEMA_AT(struct snapshot, run) },
	{ .name = "memory_proof", .type = SCHEMA_OBJECT,
	  SCHEMA_AT(struct snapshot, proof), .object = &memory_proof_schema },
	{ .name = "memory_crc64", .type = SCHEMA_PARSED,
	  SCHEMA_AT(struct snapshot, memory_crc), .parser = &text_parser },
	{ SCHEMA_STATE("config", SCHEMA_RAW, struct snapshot, config) },
	SCHEMA_STATE_OBJECT(struct snapshot, vm, &vm_state_schema),
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct snapshot, vcpus, nr_vcpus,
			     .item = &vcpu_item),
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct snapshot, devices,
			     nr_devices, .item = &device_item),
};
/* clang-format on */

const struct schema_object snapshot_schema =
	SCHEMA_STATE_OF(struct snapshot, snapshot_state_fields);

/* ---- when and where ---- */

static void cpu_name(char name[static SNAPSHOT_TEXT_MAX])
{
	uint32_t regs[12] = {0};
	uint32_t max, b, c, d;
	const char *p = (const char *)regs, *end = p + sizeof(regs);

	host_cpuid(0x80000000, 0, &max, &b, &c, &d);
	for (size_t i = 0; i < 3 && max >= 0x80000004; i++)
		host_cpuid(0x80000002 + (uint32_t)i, 0, &regs[4 * i],
			   &regs[4 * i + 1], &regs[4 * i + 2],
			   &regs[4 * i + 3]);
	while (p < end && *p == ' ')
		p++;
	(void)snprintf(name, SNAPSHOT_TEXT_MAX, "%.*s", (int)(end - p), p);
}

void snapshot_kernel_name(char name[static SNAPSHOT_TEXT_MAX])
{
	struct utsname uts;

	name[0] = '\0';
	if (uname(&uts) == 0)
		(void)snprintf(name, SNAPSHOT_TEXT_MAX, "%.*s",
			       (int)SNAPSHOT_TEXT_MAX - 1, uts.release);
}

void snapshot_describe(struct snapshot *s, uint64_t id, const char *boot,
		       const char *kernel)
{
	struct timespec ts;
	struct tm tm;

	s->head.id = id;
	(void)snprintf(s->head.version, SNAPSHOT_TEXT_MAX, "%s",
		       SNAPSHOT_VERSION);
	(void)snprintf(s->head.volt_version, SNAPSHOT_TEXT_MAX, "%s",
		       VOLT_VERSION);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	s->created_ns =
		(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(s->created, SNAPSHOT_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ",
		       &tm);
	(void)snprintf(s->host.boot, SNAPSHOT_TEXT_MAX, "%s", boot);
	cpu_name(s->host.cpu);
	(void)snprintf(s->host.kernel, SNAPSHOT_TEXT_MAX, "%s", kernel);
	host_features_read(&s->host.features);
	s->storage = SNAPSHOT_RAW;
}

bool snapshot_same_host(const struct snapshot *s, const char *boot)
{
	struct host_features features;
	char kernel[SNAPSHOT_TEXT_MAX];

	if (boot[0] && strcmp(boot, s->host.boot) == 0)
		return true;
	snapshot_kernel_name(kernel);
	host_features_read(&features);
	return strcmp(kernel, s->host.kernel) == 0 &&
	       memcmp(&features, &s->host.features, sizeof(features)) == 0;
}

/* ---- text ---- */

/* The members of an object and the items of an array, two levels deep, get a
 * line each: what people look for, and still few lines. */
#define LINES_DEPTH 3u

static void add_lines(struct buf *out, const char *text, size_t len)
{
	unsigned int depth = 0;
	bool quoted = false;
	size_t start = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && (c == '}' || c == ']'))
			depth--;
		else if (!quoted && c == ',' && depth <= LINES_DEPTH) {
			buf_add(out, text + start, i + 1 - start);
			buf_add(out, "\n\t\t\t", depth);
			start = i + 1;
		} else if (!quoted && (c == '\n' || c == '\t')) {
			/* A part that was read from such a text. */
			buf_add(out, text + start, i - start);
			start = i + 1;
		}
	}
	buf_add(out, text + start, len - start);
	buf_add(out, "\n", 1);
}

void snapshot_id_text(uint64_t id, char text[static SNAPSHOT_ID_TEXT])
{
	(void)snprintf(text, SNAPSHOT_ID_TEXT, "%016llx",
		       (unsigned long long)id);
}

/* A diff of what cannot be read is still none that is whole. */
static uint64_t base_of(const struct snapshot *s)
{
	uint64_t base = strtoull(s->base, NULL, 16);

	if (s->storage != SNAPSHOT_DIFF)
		return 0;
	return base != 0 ? base : UINT64_MAX;
}

void snapshot_identity_of(const struct snapshot *s,
			  struct snapshot_identity *who)
{
	who->label = (struct snapshot_label){
		.id = s->head.id,
		.moment = s->moment ? s->moment : s->head.id,
		.base = base_of(s),
		.run = s->run,
	};
	who->size = s->memory_bytes;
	who->proof = s->proof;
}

void snapshot_set_identity(struct snapshot *s,
			   const struct snapshot_identity *who)
{
	s->head.id = who->label.id;
	s->moment = who->label.moment;
	s->run = who->label.run;
	s->storage = who->label.base ? SNAPSHOT_DIFF : SNAPSHOT_RAW;
	s->base[0] = '\0';
	if (who->label.base)
		snapshot_id_text(who->label.base, s->base);
	s->memory_bytes = who->size;
	s->proof = who->proof;
}

void snapshot_encode(const struct snapshot *s, struct buf *out)
{
	cleanup_buf struct buf body = {0};
	char digits[CRC_DIGITS + 1];
	size_t covered;

	schema_encode(&snapshot_schema, s, &body);
	out->failed |= body.failed;
	buf_add_str(out, CRC_PREFIX "0000000000000000" CRC_END);
	covered = out->len;
	buf_addf(out,
		 "\"version\":\"%s\",\"volt_version\":\"%s\","
		 "\"id\":\"%016llx\",\n",
		 s->head.version, s->head.volt_version,
		 (unsigned long long)s->head.id);
	if (body.failed)
		return;
	add_lines(out, body.data + 1, body.len - 1); /* without its brace */
	if (out->failed)
		return;
	(void)snprintf(digits, sizeof(digits), "%016llx",
		       (unsigned long long)crc64(0, out->data + covered,
						 out->len - covered));
	memcpy(out->data + sizeof(CRC_PREFIX) - 1, digits, CRC_DIGITS);
}

/* ---- and back ---- */

/* Bytes of the text that have not been looked at yet. */
struct cursor {
	const char *at;
	const char *end;
};

static bool state_take(struct cursor *c, const char *what)
{
	size_t len = strlen(what);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, what, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool take_hex64(struct cursor *c, uint64_t *value)
{
	uint64_t v = 0;

	if (c->end - c->at < (ptrdiff_t)CRC_DIGITS)
		return false;
	for (unsigned int i = 0; i < CRC_DIGITS; i++) {
		char d = *c->at++;

		if (d >= '0' && d <= '9')
			v = v << 4 | (uint64_t)(d - '0');
		else if (d >= 'a' && d <= 'f')
			v = v << 4 | (uint64_t)(d - 'a' + 10);
		else
			return false;
	}
	*value = v;
	return true;
}

/* Letters that need no escape, up to a quote. */
static bool state_take_word(struct cursor *c,
			    char word[static SNAPSHOT_TEXT_MAX])
{
	size_t n = 0;

	while (c->at < c->end && *c->at != '"' && *c->at > ' ' &&
	       *c->at < 0x7f && *c->at != '\\' && n + 1 < SNAPSHOT_TEXT_MAX)
		word[n++] = *c->at++;
	word[n] = '\0';
	return n > 0 && c->at < c->end && *c->at == '"';
}

int snapshot_read_head(const char *text, size_t len, struct snapshot_head *head,
		       size_t *covered, struct err *err)
{
	struct cursor c = {text, len > 0 ? text + len : text};

	if (!state_take(&c, CRC_PREFIX) || !take_hex64(&c, &head->crc) ||
	    !state_take(&c, CRC_END))
		return err_set(err, -EINVAL,
			       len < CRC_LINE ? "IO Error: File too short to "
						"contain CRC"
					      : "This is not the state of a "
						"Volt snapshot");
	*covered = (size_t)(c.at - text);
	if (!state_take(&c, "\"version\":\"") ||
	    !state_take_word(&c, head->version) ||
	    !state_take(&c, "\",\"volt_version\":\"") ||
	    !state_take_word(&c, head->volt_version) ||
	    !state_take(&c, "\",\"id\":\"") || !take_hex64(&c, &head->id) ||
	    !state_take(&c, "\",\n"))
		return err_set(err, -EINVAL,
			       "The second line of the state does not tell "
			       "version and id");
	return 0;
}

/* "major.minor.patch" */
static bool parse_version(const char *text, unsigned int *major,
			  unsigned int *minor)
{
	unsigned int part[3] = {0};

	for (unsigned int i = 0; i < 3; i++) {
		unsigned int digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 6; digits++)
			part[i] = part[i] * 10 + (unsigned int)(*text++ - '0');
		if (digits == 0 || *text++ != (i < 2 ? '.' : '\0'))
			return false;
	}
	*major = part[0];
	*minor = part[1];
	return true;
}

int snapshot_check_version(const struct snapshot_head *head, struct err *err)
{
	unsigned int major, minor, our_major, our_minor;

	if (!parse_version(head->version, &major, &minor) ||
	    !parse_version(SNAPSHOT_VERSION, &our_major, &our_minor))
		return err_set(err, -EINVAL,
			       "The format version \"%s\" is none",
			       head->version);
	if (major != our_major || minor > our_minor)
		return err_set(err, -ENOTSUP,
			       "The snapshot has format version %s, this "
			       "program reads %u.0.0 to %s: restore it with "
			       "Volt %s, which wrote it",
			       head->version, our_major, SNAPSHOT_VERSION,
			       head->volt_version);
	return 0;
}

int snapshot_check_crc(const struct snapshot_head *head, const char *covered,
		       size_t len, struct err *err)
{
	uint64_t crc = crc64(0, covered, len);

	if (crc == head->crc)
		return 0;
	return err_set(err, -EBADMSG,
		       "The state is damaged: its CRC-64 is %016llx, not "
		       "%016llx",
		       (unsigned long long)crc, (unsigned long long)head->crc);
}

int snapshot_decode(const char *text, size_t len, struct snapshot *s,
		    struct err *err)
{
	struct schema_seen seen;
	struct json json;
	size_t covered = 0;
	int r = snapshot_read_head(text, len, &s->head, &covered, err);

	if (r == 0)
		r = snapshot_check_version(&s->head, err);
	if (r == 0)
		r = snapshot_check_crc(&s->head, text + covered, len - covered,
				       err);
	if (r < 0)
		return r;
	/* The object goes on behind the second line. */
	json_init(&json, text, len, err);
	json.pos = (size_t)((const char *)memchr(text + covered, '\n',
						 len - covered) -
			    text) +
		   1;
	r = schema_decode_rest(&snapshot_schema, &json, s, &seen);
	return r < 0 ? r : json_end(&json);
}
