// SPDX-License-Identifier: Apache-2.0
/*
 * tables.c - the writer of the firmware tables
 */
#include "boot/tables.h"

uint8_t *table_add(struct table *table, size_t len)
{
	uint8_t *p = table->buf + table->len;

	if (table->full || len > table->size - table->len) {
		table->full = true;
		return NULL;
	}
	memset(p, 0, len);
	table->len += len;
	return p;
}

void table_bytes(struct table *table, const void *data, size_t len)
{
	uint8_t *p = table_add(table, len);

	if (p)
		memcpy(p, data, len);
}

void table_u8(struct table *table, uint8_t v)
{
	table_bytes(table, &v, sizeof(v));
}

void table_u16(struct table *table, uint16_t v)
{
	table_bytes(table, &v, sizeof(v));
}

void table_u32(struct table *table, uint32_t v)
{
	table_bytes(table, &v, sizeof(v));
}

uint8_t table_checksum(const void *p, size_t len)
{
	const uint8_t *byte = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + byte[i]);
	return (uint8_t)-sum;
}
