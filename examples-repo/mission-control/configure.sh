#!/bin/sh -xe
# Tell this machine where the other two are, in the words of the mission control software.

NODETYPE=$(ss-get nodetype)
HOSTS=${HEADWATER_HOSTS:-/etc/hosts}
CONFIGURATION=$HOME/scm_configuration

# ip_of TYPE: the address of prime, backup or client; one of them is this machine.
ip_of() {
    if [ "$1" = "$NODETYPE" ]; then
        ss-get hostname
    else
        ss-get --timeout 600 "$1.hostname"
    fi
}

# hostname_of IP: its short name (address, full name, short name), as soon as the file has it.
hostname_of() {
    for _ in $(seq 200); do
        NAME=$(awk -v ip="$1" '$1 == ip { print $3; exit }' "$HOSTS")
        if [ -n "$NAME" ]; then
            echo "$NAME"
            return
        fi
        sleep 0.1
    done
    echo "$1 is not in $HOSTS" >&2
    return 1
}

CLIENT_IP=$(ip_of client)
CLIENT_HOSTNAME=$(hostname_of "$CLIENT_IP")
PRIME_SERVER_IP=$(ip_of prime)
PRIME_SERVER_HOSTNAME=$(hostname_of "$PRIME_SERVER_IP")
BACKUP_SERVER_IP=$(ip_of backup)
BACKUP_SERVER_HOSTNAME=$(hostname_of "$BACKUP_SERVER_IP")
CORBA_PRIME_SERVER_PORT=28084
CORBA_BACKUP_SERVER_PORT=28200

mkdir -p "$CONFIGURATION"
cat >"$CONFIGURATION/SDCF_MICONYS.xml" <<END
<configuration snapshot="$(ss-get snapshot)">
  <client host="CLIENT_HOSTNAME"/>
  <server role="prime" host="PRIME_SERVER_HOSTNAME" port="$CORBA_PRIME_SERVER_PORT"/>
  <server role="backup" host="BACKUP_SERVER_HOSTNAME" port="$CORBA_BACKUP_SERVER_PORT"/>
</configuration>
END
sed -i "s/CLIENT_HOSTNAME/$CLIENT_HOSTNAME/g" "$CONFIGURATION/SDCF_MICONYS.xml"
sed -i "s/PRIME_SERVER_HOSTNAME/$PRIME_SERVER_HOSTNAME/g" "$CONFIGURATION/SDCF_MICONYS.xml"
sed -i "s/BACKUP_SERVER_HOSTNAME/$BACKUP_SERVER_HOSTNAME/g" "$CONFIGURATION/SDCF_MICONYS.xml"
cat "$CONFIGURATION/SDCF_MICONYS.xml"
