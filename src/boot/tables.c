// SPDX-License-Identifier: Apache-2.0
/*
 * tables.c - the writer of the firmware tables
 */
#include "boot/tables.h"

uint8_t *tab_add(struct tab *tab, size_t len)
{
	uint8_t *p = tab->buf + tab->len;

	if (tab->full || len > tab->size - tab->len) {
		tab->full = true;
		return NULL;
	}
	memset(p, 0, len);
	tab->len += len;
	return p;
}

void tab_bytes(struct tab *tab, const void *data, size_t len)
{
	uint8_t *p = tab_add(tab, len);

	if (p)
		memcpy(p, data, len);
}

void tab_u8(struct tab *tab, uint8_t v)
{
	tab_bytes(tab, &v, sizeof(v));
}

void tab_u16(struct tab *tab, uint16_t v)
{
	tab_bytes(tab, &v, sizeof(v));
}

void tab_u32(struct tab *tab, uint32_t v)
{
	tab_bytes(tab, &v, sizeof(v));
}

uint8_t tab_checksum(const void *p, size_t len)
{
	const uint8_t *byte = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + byte[i]);
	return (uint8_t)-sum;
}
