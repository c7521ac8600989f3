// SPDX-License-Identifier: Apache-2.0
/*
 * rtc.c - CMOS clock (theory of operation: rtc.h; Motorola MC146818 data sheet)
 */
#include "dev/rtc.h"

#include <errno.h>

#define REG_SECONDS   0x00
#define REG_MINUTES   0x02
#define REG_HOURS     0x04
#define REG_WEEKDAY   0x06
#define REG_DAY       0x07
#define REG_MONTH     0x08
#define REG_YEAR      0x09
#define REG_A         0x0a
#define REG_B         0x0b
#define REG_C         0x0c
#define REG_D         0x0d
#define REG_CENTURY   0x32

#define A_RATE_1024HZ 0x26
#define A_UIP         0x80
#define B_24_HOURS    0x02
#define B_BINARY      0x04
#define D_VALID       0x80
#define HOURS_PM      0x80
#define INDEX_MASK    0x7f /* bit 7 masks NMIs on a PC */

static uint8_t rtc_encode(const struct rtc *rtc, int v)
{
	if (rtc->regs.ram[REG_B] & B_BINARY)
		return (uint8_t)v;
	return (uint8_t)(v / 10 * 16 + v % 10);
}

static uint8_t encode_hours(const struct rtc *rtc, int hour)
{
	int twelve = hour % 12 == 0 ? 12 : hour % 12;

	if (rtc->regs.ram[REG_B] & B_24_HOURS)
		return rtc_encode(rtc, hour);
	return (uint8_t)(rtc_encode(rtc, twelve) | (hour >= 12 ? HOURS_PM : 0));
}

static uint8_t rtc_read_reg(struct rtc *rtc)
{
	time_t now = rtc->clock(NULL);
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	switch (rtc->regs.index) {
	case REG_SECONDS:
		return rtc_encode(rtc, tm.tm_sec);
	case REG_MINUTES:
		return rtc_encode(rtc, tm.tm_min);
	case REG_HOURS:
		return encode_hours(rtc, tm.tm_hour);
	case REG_WEEKDAY:
		return rtc_encode(rtc, tm.tm_wday + 1);
	case REG_DAY:
		return rtc_encode(rtc, tm.tm_mday);
	case REG_MONTH:
		return rtc_encode(rtc, tm.tm_mon + 1);
	case REG_YEAR:
		return rtc_encode(rtc, tm.tm_year % 100);
	case REG_CENTURY:
		return rtc_encode(rtc, (tm.tm_year + 1900) / 100);
	case REG_C: /* no interrupt is ever pending */
		return 0;
	case REG_D:
		return D_VALID;
	default:
		return rtc->regs.ram[rtc->regs.index];
	}
}

static int rtc_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct rtc *rtc = dev;

	if (len != 1 || off != 1) /* the index cannot be read back */
		return -EINVAL;
	(void)pthread_mutex_lock(&rtc->lock);
	*(uint8_t *)data = rtc_read_reg(rtc);
	(void)pthread_mutex_unlock(&rtc->lock);
	return 0;
}

static int rtc_write(void *dev, uint64_t off, const void *data,
		     unsigned int len)
{
	struct rtc *rtc = dev;
	uint8_t v = *(const uint8_t *)data;

	if (len != 1)
		return -EINVAL;
	(void)pthread_mutex_lock(&rtc->lock);
	if (off == 0)
		rtc->regs.index = v & INDEX_MASK;
	else if (rtc->regs.index == REG_A)
		rtc->regs.ram[REG_A] = (uint8_t)(v & ~A_UIP);
	else
		rtc->regs.ram[rtc->regs.index] = v;
	(void)pthread_mutex_unlock(&rtc->lock);
	return 0;
}

static const struct schema_field rtc_state_fields[] = {
	SCHEMA_STATE_BITS(struct rtc_state, index),
	SCHEMA_STATE_HEX(struct rtc_state, ram),
};

const struct schema_object rtc_state_schema =
	SCHEMA_STATE_OF(struct rtc_state, rtc_state_fields);

void rtc_save(struct rtc *rtc, struct rtc_state *state)
{
	(void)pthread_mutex_lock(&rtc->lock);
	*state = rtc->regs;
	(void)pthread_mutex_unlock(&rtc->lock);
}

int rtc_load(struct rtc *rtc, const struct rtc_state *state, struct err *err)
{
	if (state->index > INDEX_MASK)
		return err_set(err, -EINVAL, "no register %u in %u bytes",
			       state->index, RTC_BYTES);
	(void)pthread_mutex_lock(&rtc->lock);
	rtc->regs = *state;
	rtc->regs.ram[REG_A] &= (uint8_t)~A_UIP;
	(void)pthread_mutex_unlock(&rtc->lock);
	return 0;
}

const struct bus_ops rtc_bus_ops = {rtc_read, rtc_write};

void rtc_init(struct rtc *rtc)
{
	rtc->clock = time;
	rtc->regs.ram[REG_A] = A_RATE_1024HZ;
	rtc->regs.ram[REG_B] = B_24_HOURS;
	(void)pthread_mutex_init(&rtc->lock, NULL);
}

void rtc_fini(struct rtc *rtc)
{
	(void)pthread_mutex_destroy(&rtc->lock);
}
