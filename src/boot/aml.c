// SPDX-License-Identifier: Apache-2.0
/*
 * aml.c - an AML writer (what it can: aml.h)
 */
#include "boot/aml.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_NOTIFY = 0x86,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

enum {
	RES_IO = 0x47,
	RES_IO_DECODE16 = 1,
	RES_MEMORY32_FIXED = 0x86,
	RES_MEMORY32_BYTES = 9,
	RES_MEMORY_WRITE = 1,
	RES_IRQ = 0x89,
	RES_IRQ_BYTES = 6,
	RES_IRQ_CONSUMER = 1,
	RES_IRQ_EDGE = 2,
	RES_END = 0x79,
};

#define METHOD_SERIALIZED 8u

#define PKG_LEAD_ONE_BYTE 0x3fu /* longest package with one length byte */
#define PKG_MAX_BYTES     4u

/* Pushes what was written from @at on up by @len bytes. */
static uint8_t *aml_insert(struct table *table, size_t at, size_t len)
{
	size_t behind = table->len - at;

	if (!table_add(table, len))
		return NULL;
	memmove(table->buf + at + len, table->buf + at, behind);
	return table->buf + at;
}

static struct aml_block aml_open_here(const struct table *table)
{
	return (struct aml_block){.body = table->len};
}

struct aml_block aml_open_scope(struct table *table, const char *name)
{
	struct aml_block block;

	table_u8(table, OP_SCOPE);
	block = aml_open_here(table);
	table_bytes(table, name, strlen(name));
	return block;
}

struct aml_block aml_open_device(struct table *table, const char *name)
{
	struct aml_block block;

	table_u8(table, OP_EXT);
	table_u8(table, OP_EXT_DEVICE);
	block = aml_open_here(table);
	table_bytes(table, name, strlen(name));
	return block;
}

struct aml_block aml_open_package(struct table *table, uint8_t nr)
{
	struct aml_block block;

	table_u8(table, OP_PACKAGE);
	block = aml_open_here(table);
	table_u8(table, nr);
	return block;
}

struct aml_block aml_open_method(struct table *table, const char *name,
				 uint8_t nr_args)
{
	struct aml_block block;

	table_u8(table, OP_METHOD);
	block = aml_open_here(table);
	table_bytes(table, name, strlen(name));
	table_u8(table, nr_args | METHOD_SERIALIZED);
	return block;
}

void aml_notify(struct table *table, const char *name, uint8_t value)
{
	table_u8(table, OP_NOTIFY);
	table_bytes(table, name, strlen(name));
	aml_int(table, value);
}

/*
 * PkgLength counts itself: one byte up to 63; else the low nibble, and eight
 * bits in each of the one to three bytes behind, whose number leads.
 */
void aml_close(struct table *table, struct aml_block block)
{
	size_t len = table->len - block.body;
	size_t bytes = 1;
	uint8_t *p;

	if (len + bytes > PKG_LEAD_ONE_BYTE)
		for (bytes = 2; (len + bytes) >> (8 * bytes - 4); bytes++)
			;
	assert(bytes <= PKG_MAX_BYTES);
	p = aml_insert(table, block.body, bytes);
	if (!p)
		return;
	len += bytes;
	if (bytes == 1) {
		p[0] = (uint8_t)len;
		return;
	}
	p[0] = (uint8_t)((bytes - 1) << 6 | (len & 0xf));
	for (size_t i = 1; i < bytes; i++)
		p[i] = (uint8_t)(len >> (8 * i - 4));
}

void aml_name(struct table *table, const char *name)
{
	table_u8(table, OP_NAME);
	table_bytes(table, name, strlen(name));
}

void aml_int(struct table *table, uint64_t v)
{
	if (v <= 1) {
		table_u8(table, v ? OP_ONE : OP_ZERO);
	} else if (v <= UINT8_MAX) {
		table_u8(table, OP_BYTE);
		table_u8(table, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		table_u8(table, OP_WORD);
		table_u16(table, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		table_u8(table, OP_DWORD);
		table_u32(table, (uint32_t)v);
	} else {
		table_u8(table, OP_QWORD);
		table_bytes(table, &v, sizeof(v));
	}
}

void aml_string(struct table *table, const char *text)
{
	table_u8(table, OP_STRING);
	table_bytes(table, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Five bits a letter, four a digit, the most significant byte first. */
void aml_eisa_id(struct table *table, const char *id)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)id[i] & 0x1f);
	for (unsigned int i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	table_u8(table, OP_DWORD);
	table_u32(table, __builtin_bswap32(v));
}

struct aml_block aml_open_resources(struct table *table)
{
	table_u8(table, OP_BUFFER);
	return aml_open_here(table);
}

void aml_res_io(struct table *table, uint16_t port, uint8_t len)
{
	table_u8(table, RES_IO);
	table_u8(table, RES_IO_DECODE16);
	table_u16(table, port); /* lowest */
	table_u16(table, port); /* highest */
	table_u8(table, 1);     /* alignment */
	table_u8(table, len);
}

void aml_res_memory(struct table *table, uint32_t base, uint32_t len)
{
	table_u8(table, RES_MEMORY32_FIXED);
	table_u16(table, RES_MEMORY32_BYTES);
	table_u8(table, RES_MEMORY_WRITE);
	table_u32(table, base);
	table_u32(table, len);
}

void aml_res_irq(struct table *table, uint32_t gsi)
{
	table_u8(table, RES_IRQ);
	table_u16(table, RES_IRQ_BYTES);
	table_u8(table, RES_IRQ_CONSUMER | RES_IRQ_EDGE);
	table_u8(table, 1); /* interrupts that follow */
	table_u32(table, gsi);
}

/* A buffer's length stands as an AML integer in front of its bytes. */
void aml_close_resources(struct table *table, struct aml_block block)
{
	size_t len;
	uint8_t *p;

	table_u8(table, RES_END);
	table_u8(table, 0); /* checksum 0: not used */
	len = table->len - block.body;
	assert(len <= UINT8_MAX);
	p = aml_insert(table, block.body, 2);
	if (!p)
		return;
	p[0] = OP_BYTE;
	p[1] = (uint8_t)len;
	aml_close(table, block);
}
