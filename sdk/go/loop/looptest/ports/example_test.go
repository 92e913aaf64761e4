package ports_test

import (
	"fmt"
	"net"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// A program that a test starts is told a port, and finds it free each time it is started again.
func ExampleClaim() {
	claimed, release, err := ports.Claim(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", claimed[0]))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening")
	_ = listener.Close()
	// Output: listening
}
