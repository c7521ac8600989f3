/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_sched.h - no other process on the other threads of a core
 *
 * Threads of one core share caches and buffers, through which one can learn
 * what the other does. With core scheduling the kernel runs on the threads of a
 * core at the same time only tasks of one cookie. Each VM gets one of its own.
 *
 * Source: Documentation/admin-guide/hw-vuln/core-scheduling.rst
 */
#pragma once

#include "base/err.h"

/**
 * core_sched_start() - a cookie for this process and all it starts later
 * @needed:	false where the host has one thread a core: nothing to do
 *
 * Context: before threads are started and processes forked.
 *
 * Return: 0 or -errno with a sentence.
 */
int core_sched_start(bool *needed, struct err *err) __must_check;
