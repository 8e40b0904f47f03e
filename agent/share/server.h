/* server: where the file server of this host keeps its things, so that tests can have one of their
 * own. Only a struct. */
#pragma once

struct server {
    const char *search;      /* folders of Samba's and NFS's programs; NULL: the system's */
    const char *exports;     /* "/etc/exports" */
    const char *exports_dir; /* "/etc/exports.d" */
    const char *ganesha;     /* "/etc/ganesha/ganesha.conf", which is not read; NULL: not looked */
    const char *passwd;      /* "/etc/passwd" */
    const char *usershares;  /* "/var/lib/samba/usershares", where smb.conf names no other */
    const char *scratch;     /* a folder of ours, 0700 */
    int cancel_fd;           /* -1: none */
};
