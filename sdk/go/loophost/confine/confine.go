// Package confine takes from plugins what they do not need, and from whoever runs as the host's user the look into the host.
//
// It knows processes, files and the kernel. It must not know what a plugin is for: who starts one says what it needs.
package confine
