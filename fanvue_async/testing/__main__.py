"""``python -m fanvue_async.testing``: the fake server on its own."""

from fanvue_async.testing import main

if __name__ == "__main__":
    main()
