/* Prints the lists of the manual pages and the sample configuration from the program's own tables,
 * so that none can say something else. Not part of the program: for make manual and its test. */
#ifndef BUNNY_MANUAL_H
#define BUNNY_MANUAL_H

#include <stdbool.h>
#include <stdio.h>

/* Copies template to out; a line "@name@" becomes that list. False: an unknown name. */
bool manual_expand(FILE *template, FILE *out);
void manual_print_sample(FILE *out);

#endif
