// Package hosts gives each node of a local network a host of its own: a network namespace with a device that a switch
// in this process serves, packet by packet, under conditions of which a schedule says when they hold.
//
// It must not know what the hosts run.
package hosts
