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
static uint8_t *aml_insert(struct tab *tab, size_t at, size_t len)
{
	size_t behind = tab->len - at;

	if (!tab_add(tab, len))
		return NULL;
	memmove(tab->buf + at + len, tab->buf + at, behind);
	return tab->buf + at;
}

static struct aml_block aml_open_here(const struct tab *tab)
{
	return (struct aml_block){.body = tab->len};
}

struct aml_block aml_open_scope(struct tab *tab, const char *name)
{
	struct aml_block block;

	tab_u8(tab, OP_SCOPE);
	block = aml_open_here(tab);
	tab_bytes(tab, name, strlen(name));
	return block;
}

struct aml_block aml_open_device(struct tab *tab, const char *name)
{
	struct aml_block block;

	tab_u8(tab, OP_EXT);
	tab_u8(tab, OP_EXT_DEVICE);
	block = aml_open_here(tab);
	tab_bytes(tab, name, strlen(name));
	return block;
}

struct aml_block aml_open_package(struct tab *tab, uint8_t nr)
{
	struct aml_block block;

	tab_u8(tab, OP_PACKAGE);
	block = aml_open_here(tab);
	tab_u8(tab, nr);
	return block;
}

struct aml_block aml_open_method(struct tab *tab, const char *name,
				 uint8_t nr_args)
{
	struct aml_block block;

	tab_u8(tab, OP_METHOD);
	block = aml_open_here(tab);
	tab_bytes(tab, name, strlen(name));
	tab_u8(tab, nr_args | METHOD_SERIALIZED);
	return block;
}

void aml_notify(struct tab *tab, const char *name, uint8_t value)
{
	tab_u8(tab, OP_NOTIFY);
	tab_bytes(tab, name, strlen(name));
	aml_int(tab, value);
}

/*
 * PkgLength counts itself: one byte up to 63; else the low nibble, and eight
 * bits in each of the one to three bytes behind, whose number leads.
 */
void aml_close(struct tab *tab, struct aml_block block)
{
	size_t len = tab->len - block.body;
	size_t bytes = 1;
	uint8_t *p;

	if (len + bytes > PKG_LEAD_ONE_BYTE)
		for (bytes = 2; (len + bytes) >> (8 * bytes - 4); bytes++)
			;
	assert(bytes <= PKG_MAX_BYTES);
	p = aml_insert(tab, block.body, bytes);
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

void aml_name(struct tab *tab, const char *name)
{
	tab_u8(tab, OP_NAME);
	tab_bytes(tab, name, strlen(name));
}

void aml_int(struct tab *tab, uint64_t v)
{
	if (v <= 1) {
		tab_u8(tab, v ? OP_ONE : OP_ZERO);
	} else if (v <= UINT8_MAX) {
		tab_u8(tab, OP_BYTE);
		tab_u8(tab, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		tab_u8(tab, OP_WORD);
		tab_u16(tab, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		tab_u8(tab, OP_DWORD);
		tab_u32(tab, (uint32_t)v);
	} else {
		tab_u8(tab, OP_QWORD);
		tab_bytes(tab, &v, sizeof(v));
	}
}

void aml_string(struct tab *tab, const char *text)
{
	tab_u8(tab, OP_STRING);
	tab_bytes(tab, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Five bits a letter, four a digit, the most significant byte first. */
void aml_eisa_id(struct tab *tab, const char *id)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)id[i] & 0x1f);
	for (unsigned int i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	tab_u8(tab, OP_DWORD);
	tab_u32(tab, __builtin_bswap32(v));
}

struct aml_block aml_open_resources(struct tab *tab)
{
	tab_u8(tab, OP_BUFFER);
	return aml_open_here(tab);
}

void aml_res_io(struct tab *tab, uint16_t port, uint8_t len)
{
	tab_u8(tab, RES_IO);
	tab_u8(tab, RES_IO_DECODE16);
	tab_u16(tab, port); /* lowest */
	tab_u16(tab, port); /* highest */
	tab_u8(tab, 1);     /* alignment */
	tab_u8(tab, len);
}

void aml_res_memory(struct tab *tab, uint32_t base, uint32_t len)
{
	tab_u8(tab, RES_MEMORY32_FIXED);
	tab_u16(tab, RES_MEMORY32_BYTES);
	tab_u8(tab, RES_MEMORY_WRITE);
	tab_u32(tab, base);
	tab_u32(tab, len);
}

void aml_res_irq(struct tab *tab, uint32_t gsi)
{
	tab_u8(tab, RES_IRQ);
	tab_u16(tab, RES_IRQ_BYTES);
	tab_u8(tab, RES_IRQ_CONSUMER | RES_IRQ_EDGE);
	tab_u8(tab, 1); /* interrupts that follow */
	tab_u32(tab, gsi);
}

/* A buffer's length stands as an AML integer in front of its bytes. */
void aml_close_resources(struct tab *tab, struct aml_block block)
{
	size_t len;
	uint8_t *p;

	tab_u8(tab, RES_END);
	tab_u8(tab, 0); /* checksum 0: not used */
	len = tab->len - block.body;
	assert(len <= UINT8_MAX);
	p = aml_insert(tab, block.body, 2);
	if (!p)
		return;
	p[0] = OP_BYTE;
	p[1] = (uint8_t)len;
	aml_close(tab, block);
}
