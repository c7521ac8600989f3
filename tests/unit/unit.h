/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h - cmocka with what it wants included before it, in its order
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
