/* aside: the folder, at the top of a destination, of what stood there before the first pass. It is
 * nobody's extra. Only constants. */
#pragma once

#define ASIDE ".pre-existing-" /* a date follows */
