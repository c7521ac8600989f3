/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits.h - sizes, alignment, checked arithmetic and little-endian access
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#undef PAGE_SIZE /* musl's <limits.h> has one, too */
#define PAGE_SIZE     4096u

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define __must_check             __attribute__((warn_unused_result))
#define __printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

/* @align is a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

/* False, and *@out untouched, when the result does not fit 64 bits. */
static inline bool align_up_checked(uint64_t v, uint64_t align, uint64_t *out)
{
	uint64_t sum;

	if (__builtin_add_overflow(v, align - 1, &sum))
		return false;
	*out = align_down(sum, align);
	return true;
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/* [@off, @off + @len) lies within [0, @size); never computes off + len. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Little-endian loads and stores at any alignment (the host is x86-64). */
static inline uint16_t load_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Of @size bytes, those up to the last that is not zero. */
static inline size_t used_bytes(const uint8_t *bytes, size_t size)
{
	while (size >= 8 && load_le64(bytes + size - 8) == 0)
		size -= 8;
	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size;
}

static inline void store_le16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}
