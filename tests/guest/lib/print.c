/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - text on COM1, and the few string functions the compiler expects
 */
#include <stdarg.h>

#include "guest.h"

/**
 * put_char() - Send one byte to COM1, a newline as CR LF.
 *
 * Waits for the transmitter as a real driver does, but not for ever: a VMM
 * whose LSR is stuck must not turn every check into a hang.
 */
void put_char(char c)
{
	unsigned int tries;

	if (c == '\n')
		put_char('\r');
	for (tries = 0; tries < 100000; tries++)
		if (in8(COM1 + 5) & 0x20)
			break;
	out8(COM1, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t val, unsigned int base)
{
	char buf[24];
	unsigned int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[val % base];
		val /= base;
	} while (val);
	while (n)
		put_char(buf[--n]);
}

static void put_conversion(char conv, bool is_long, va_list *args)
{
	uint64_t val;

	switch (conv) {
	case 's':
		put_string(va_arg(*args, const char *));
		return;
	case 'c':
		put_char((char)va_arg(*args, int));
		return;
	case 'u':
	case 'x':
		val = is_long ? va_arg(*args, uint64_t)
			      : va_arg(*args, unsigned int);
		put_number(val, conv == 'u' ? 10 : 16);
		return;
	default:
		put_char(conv);
	}
}

/**
 * print() - printf with %s %c %u %x %lu %lx and nothing else.
 */
void print(const char *fmt, ...)
{
	bool is_long;
	va_list args;

	va_start(args, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put_char(*fmt);
			continue;
		}
		is_long = fmt[1] == 'l';
		fmt += is_long ? 2 : 1;
		put_conversion(*fmt, is_long, &args);
	}
	va_end(args);
}

void *memcpy(void *dst, const void *src, size_t len)
{
	void *d = dst;

	asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(len) : : "memory");
	return dst;
}

void *memset(void *dst, int c, size_t len)
{
	void *d = dst;

	asm volatile("rep stosb" : "+D"(d), "+c"(len) : "a"(c) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len; len--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
