/* survey: what a place can hold, tried without a trace. Worker thread. */
#pragma once
#include <stdbool.h>

#include "agent/files/place.h"
#include "proto/host.pb-c.h"

struct step;

/* Into p, which borrows place's text. exists: fd is the folder itself, not one above it. */
void survey_place(struct step *s, int fd, bool exists, Godwit__PlaceProbe *p, struct place *place);
