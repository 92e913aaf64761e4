package api

import (
	"cmp"
	"errors"
	"strconv"

	"connectrpc.com/connect"
)

// pageSize is how many entries a page has by default, and mostPage how many it may have.
const (
	pageSize = 100
	mostPage = 1000
)

// page is how many entries a caller wants, and from where on.
func page(size uint32, token string) (limit int, from int64, err error) {
	limit = min(cmp.Or(int(size), pageSize), mostPage)
	if token == "" {
		return limit, 0, nil
	}
	if from, err = strconv.ParseInt(token, 10, 64); err != nil || from <= 0 {
		return 0, 0, connect.NewError(connect.CodeInvalidArgument,
			errors.New("page_token: it is not a next_page_token of a page before"))
	}
	return limit, from, nil
}
