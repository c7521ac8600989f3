/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.h - random steps from a seed, in virtual time, that can be replayed
 *
 * A plan names what may happen to a device (a step: kick, pause, reset, a
 * request, a completion), each with a weight. A round makes a fresh world and
 * lets ROUND steps happen in random order; now and then, and at the end, the
 * plan's settle() lets everything run and checks that nothing is owed. Rounds
 * differ by their seed only, so a failure is replayed by a run of one round:
 *
 *	VOLT_SCHEDULE_STEPS=n	 so many steps in all (default: some seconds)
 *	VOLT_SCHEDULE_SEED=n	 of the first round (default: 1)
 *	VOLT_SCHEDULE_TRACE=1	 each step with its number, to stderr
 *
 * Nothing may depend on the real time: the executable is linked with
 * --wrap=now_ns, and this file has what is called instead. Timers fire in
 * schedule_advance(), and in a round of the loop that finds them due. What a
 * back end does has to come from schedule_below(), too.
 *
 *	static const struct schedule_step steps[] = {{"kick", 5, kick}, ...};
 *	static const struct schedule_plan plan = {.name = "blk", ...};
 *	return schedule_main(&plan);
 *
 * A world is one global of the test, as there is one at a time.
 */
#pragma once

#include "unit.h"

#include "host/timer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEDULE_ROUND  1000u /* steps in a fresh world */
#define SCHEDULE_SETTLE 60u   /* steps between two looks, on average */
#define SCHEDULE_SHOWN  24u   /* of the last steps, when one fails */

struct schedule_step {
	const char *name;
	unsigned int weight;
	void (*run)(void);
};

/**
 * struct schedule_plan - what may happen
 * @steps:	when it has no environment; with a sanitizer a quarter of them
 * @open, @close: a fresh world, with virtual time 1 s; its end
 * @settle:	let everything run, check that nothing is owed
 */
struct schedule_plan {
	const char *name;
	uint64_t steps;
	const struct schedule_step *step;
	size_t nr;
	void (*open)(void);
	void (*settle)(void);
	void (*close)(void);
};

/**
 * struct schedule - the one that runs
 * @seed:	of this round
 * @random:	state of the generator
 * @at:		steps of this round that are over
 * @hash:	of what schedule_note() was told: equal in a replay
 * @last:	names of the last steps, by @at
 * @now:	virtual CLOCK_MONOTONIC
 * @loop:	whose timers fire; of the world that open() made, or NULL
 */
static struct schedule {
	const struct schedule_plan *plan;
	uint64_t seed;
	uint64_t random;
	uint64_t at;
	uint64_t hash;
	const char *last[SCHEDULE_SHOWN];
	uint64_t now;
	struct loop *loop;
} schedule;

/* splitmix64 */
static inline uint64_t schedule_random(void)
{
	uint64_t z = schedule.random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 ... @n - 1 */
static inline uint64_t schedule_below(uint64_t n)
{
	return schedule_random() % n;
}

/* True once in @n times. */
static inline bool schedule_once_in(uint64_t n)
{
	return schedule_below(n) == 0;
}

/* Something that has to be the same in a replay. */
static inline void schedule_note(uint64_t what)
{
	schedule.hash = (schedule.hash ^ what) * 0x100000001b3ull;
}

__attribute__((noreturn)) static inline void
schedule_failed(const char *what, const char *file, int line)
{
	uint64_t from = schedule.at < SCHEDULE_SHOWN
				? 0
				: schedule.at + 1 - SCHEDULE_SHOWN;

	(void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
	for (uint64_t i = from; i <= schedule.at; i++)
		(void)fprintf(stderr, "  %" PRIu64 " %s\n", i,
			      schedule.last[i % SCHEDULE_SHOWN]);
	(void)fprintf(stderr,
		      "again: VOLT_SCHEDULE_SEED=%" PRIu64
		      " VOLT_SCHEDULE_STEPS=%u, schedule %s\n",
		      schedule.seed, SCHEDULE_ROUND, schedule.plan->name);
	abort();
}

/* Fails with the round's seed and its last steps. */
#define schedule_check(cond)                                                   \
	do {                                                                   \
		if (!(cond))                                                   \
			schedule_failed("failed: " #cond, __FILE__, __LINE__); \
	} while (0)

/* ---- virtual time ---- */

uint64_t __wrap_now_ns(void);

uint64_t __wrap_now_ns(void)
{
	return schedule.now;
}

/* Time goes on by @ns; timers fire in their order. Without a device's lock. */
static inline void schedule_advance(uint64_t ns)
{
	uint64_t until = schedule.now + ns, wait;

	while (schedule.loop && schedule.now <= until) {
		wait = timer_wait_ns(schedule.loop);
		if (wait > until - schedule.now)
			break;
		schedule.now += wait;
		timer_run(schedule.loop);
	}
	if (schedule.now < until)
		schedule.now = until;
}

/* ---- running ---- */

static inline const struct schedule_step *schedule_choose(void)
{
	const struct schedule_plan *plan = schedule.plan;
	uint64_t sum = 0, n;

	for (size_t i = 0; i < plan->nr; i++)
		sum += plan->step[i].weight;
	n = schedule_below(sum);
	for (size_t i = 0;; i++) {
		if (n < plan->step[i].weight)
			return &plan->step[i];
		n -= plan->step[i].weight;
	}
}

static inline void schedule_one(const struct schedule_step *step, bool trace)
{
	schedule.last[schedule.at % SCHEDULE_SHOWN] = step->name;
	if (trace)
		(void)fprintf(stderr, "%" PRIu64 ":%" PRIu64 " %s\n",
			      schedule.seed, schedule.at, step->name);
	step->run();
	schedule.at++;
}

/* A fresh world from @seed. Return: the hash of what was noted. */
static inline uint64_t schedule_round(const struct schedule_plan *plan,
				      uint64_t seed, uint64_t steps)
{
	const struct schedule_step settle = {"settle", 0, plan->settle};
	bool trace = getenv("VOLT_SCHEDULE_TRACE") != NULL;

	schedule = (struct schedule){
		.plan = plan,
		.seed = seed,
		.random = seed,
		.hash = 0xcbf29ce484222325ull,
		.now = 1000000000,
	};
	plan->open();
	while (schedule.at < steps)
		schedule_one(schedule_once_in(SCHEDULE_SETTLE)
				     ? &settle
				     : schedule_choose(),
			     trace);
	schedule_one(&settle, trace);
	plan->close();
	return schedule.hash;
}

static inline uint64_t schedule_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* As many rounds as the steps are, by the environment or the plan. */
static inline void schedule_run(const struct schedule_plan *plan)
{
	uint64_t left = schedule_env("VOLT_SCHEDULE_STEPS",
				     plan->steps / (IS_SANITIZED ? 4 : 1));
	uint64_t seed = schedule_env("VOLT_SCHEDULE_SEED", 1);

	(void)fprintf(stderr,
		      "schedule %s: %" PRIu64 " steps, seed %" PRIu64 "\n",
		      plan->name, left, seed);
	for (; left > 0; seed++) {
		uint64_t steps = left < SCHEDULE_ROUND ? left : SCHEDULE_ROUND;

		(void)schedule_round(plan, seed, steps);
		left -= steps;
	}
}

/* The same seed twice: both runs note the same. */
static inline void schedule_replays(const struct schedule_plan *plan)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		uint64_t hash = schedule_round(plan, seed, SCHEDULE_ROUND);

		schedule_check(schedule_round(plan, seed, SCHEDULE_ROUND) ==
			       hash);
	}
}

/* ---- the test program ---- */

static const struct schedule_plan *schedule_tested;

static inline void any_order(void **state)
{
	(void)state;
	schedule_run(schedule_tested);
}

static inline void a_seed_is_replayed(void **state)
{
	(void)state;
	schedule_replays(schedule_tested);
}

/* What main() returns. */
static inline int schedule_main(const struct schedule_plan *plan)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order),
		cmocka_unit_test(a_seed_is_replayed),
	};

	schedule_tested = plan;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
