"""What every suite shares: raw RESP, a raw client, server processes, references to compare with."""
