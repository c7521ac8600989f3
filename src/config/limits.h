/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a configuration may ask for at most
 *
 * Plain numbers, without suffixes: help texts show them. vm/limits.c ties those
 * to them that a lower layer has of its own.
 */
#pragma once

#define CONFIG_VCPUS_MAX   32
#define CONFIG_CMDLINE_MAX 2048 /* with the terminating NUL */

/* Bytes of a request's body, unless the command line says else. */
#define CONFIG_PAYLOAD_DEFAULT 51200

/* The number of a limit, in a help text. */
#define CONFIG_TEXT(limit)  CONFIG_TEXT_(limit)
#define CONFIG_TEXT_(limit) #limit
