package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/node"
)

// apiError gives an error of a part its Connect code. It removes the name of the error's kind at the end, which is for
// programs and not for people.
func apiError(err error) error {
	code := connect.CodeInternal
	text := strings.TrimSuffix(strings.TrimSuffix(node.Worded(err.Error()), ": "+database.ErrInvalid.Error()),
		": "+keystore.ErrInvalid.Error())
	switch {
	case errors.Is(err, database.ErrNotFound), errors.Is(err, keystore.ErrNotFound):
		code = connect.CodeNotFound
	case errors.Is(err, database.ErrExists):
		code = connect.CodeAlreadyExists
	case errors.Is(err, database.ErrInvalid), errors.Is(err, keystore.ErrInvalid):
		code = connect.CodeInvalidArgument
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	}
	return connect.NewError(code, errors.New(text))
}

// refuse is the error of a request for something that the node does not have.
func refuse(format string, arguments ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, arguments...))
}
