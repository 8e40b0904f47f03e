#!/bin/bash
# cutover_rejoin: the table of fault/cutover for members of a domain that move by joining anew: each stage by one event, these
# in turn. GODWIT_CUTOVER_CASES='.*' does all of it.
# limit: 5400
# slow
# lab
GODWIT_CUTOVER_CASES=${GODWIT_CUTOVER_CASES:-turns} GODWIT_CUTOVER_METHOD=rejoin exec "$(dirname "$0")/cutover.sh"
