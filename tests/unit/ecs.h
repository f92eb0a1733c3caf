/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ecs: whether an object is one of the Elastic Common Schema, version 9: each of its fields is one that the schema
 * has, with a value of the schema's type (www.elastic.co/docs/reference/ecs/ecs-field-reference), or one below
 * `cordon` that ecs.c says the type of. A field that is not in its table is an error: whoever adds one looks it
 * up there first.
 */
#ifndef CORDON_TESTS_ECS_H
#define CORDON_TESTS_ECS_H

#include <jansson.h>

#include "monitor/alert.h"

enum { ECS_WHY_MAX = 256 };

/* 0, or -EINVAL and what is wrong. */
int ecs_check(const json_t *object, char why[ECS_WHY_MAX]);

/* Fails the test that runs, where it is not. */
void ecs_assert(const json_t *object);
/* The same of what an alert becomes. */
void ecs_assert_alert(const struct alert *alert);

#endif
