"""scalesearch: the search behind compound scaling, for anyone's baseline, data and hardware."""
