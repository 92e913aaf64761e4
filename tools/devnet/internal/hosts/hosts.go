// Package hosts gives each node of a local network its own host: a network namespace with a device. A switch in this
// process serves the devices, packet by packet, under the conditions of a schedule.
//
// It must not know what the hosts run.
package hosts
