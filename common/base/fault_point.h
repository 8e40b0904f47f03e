/* fault_point: named places where a test can end the process as a crash would. Compiled only with
 * GODWIT_FAULT_POINTS, which no package is built with; else nothing is left of them. Any thread.
 *
 * The file that GODWIT_FAULT_FILE names in the environment holds one line, "POINT N": the process
 * kills itself when it comes to POINT for the Nth time after it first saw the line, and removes the
 * file before, so that it happens once. With "POINT N halt" it stops there as by SIGSTOP: a test
 * that needs the middle of something finds it however fast the machine is. */
#pragma once

#ifdef GODWIT_FAULT_POINTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif
